"""Languages without spaces are refused until somebody says that their tokens are split."""

import pytest

import crossloss as cl
from crossloss.core import UserError

LONG = {
    "Chinese": ["男人在城市里看见了女人", "她回家了"],
    "Japanese": ["男は町で女を見た", "彼は本を読んだ", "ｶﾀｶﾅ"],
    "Thai": ["ผู้ชายเห็นผู้หญิง", "เธอกลับบ้าน"],
    "Lao": ["ຜູ້ຊາຍເຫັນແມ່ຍິງ"],
    "Khmer": ["បុរសបានឃើញស្ត្រី"],
    "Burmese": ["ယောက်ျားသည်မိန်းမကိုမြင်သည်"],
    "Tibetan": ["བོད་སྐད་ཡིན་པ་རེད།"],
}


@pytest.mark.parametrize("language", LONG)
def test_they_are_refused_by_name(language, tmp_path):
    with pytest.raises(UserError, match=f"is {language}, which puts no space.*tokeniser such as.*--tokens") as caught:
        cl.from_sentences(LONG[language])
    assert "\n" not in str(caught.value)
    (tmp_path / "c.txt").write_text("\n".join(LONG[language]))
    with pytest.raises(UserError, match=language):
        cl.read(tmp_path / "c.txt")


@pytest.mark.parametrize("language", LONG)
def test_split_by_a_tokeniser_they_are_read(language):
    rows = [f"{text[:2]} {text[2:]}" for text in LONG[language]]
    assert len(cl.from_sentences(rows, tokens=True).tokens) == 2 * len(rows)


def test_names_and_quotations_are_let_pass():
    rows = ["the word 北京 is the name of a city in the north of China"]
    assert "北京" in cl.from_sentences(rows).types
    with pytest.raises(UserError, match="is Chinese"):
        cl.from_sentences([*rows, "男人在城市里看见了女人"])


@pytest.mark.parametrize(
    "text",
    [
        "लड़का नदी के पास था",
        "남자가 도시에서 여자를 보았다",
        "der Mann sah die Frau",
        "الرجل رأى المرأة",
        "ሰውየው ሴቲቱን አየ",
        "האיש ראה את האישה",
    ],
)
def test_languages_with_spaces_are_read(text):
    assert len(cl.from_sentences([text]).types) == len(text.split())
