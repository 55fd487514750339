"""Bytes that are not UTF-8 are refused with what they are; advice is checked by carrying it out."""

import codecs
import re

import pytest

from crossloss.core import UserError
from crossloss.text.encoding import decode

TEXTS = {
    "en": "the man saw a woman, near the river.\nshe went home\n" * 3,
    "fr": "le café été “où” près\nelle était là\n" * 3,
    "ru": "Мужчина шёл по улице, и увидел женщину.\nОна пошла домой\n" * 3,
    "hi": "लड़का नदी के पास था\n" * 4,
    "zh": "男人在城市里看见了女人。\n她回家了\n" * 3,
}


def refusal(raw):
    with pytest.raises(UserError) as caught:
        decode("c.txt", raw)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def advised(raw):
    """What the first conversion that is advised makes of the bytes."""
    name = re.search(r"iconv -f (\S+) -t UTF-8", refusal(raw))[1]
    return raw.decode({"MACINTOSH": "mac-roman"}.get(name, name)).removeprefix("\ufeff")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
def test_wide_text_is_known_with_and_without_a_mark(text, codec):
    if text == "zh" and codec in ("utf-16-le", "utf-16-be"):
        assert "UTF-" in refusal(TEXTS[text].encode(codec))
        return
    assert advised(TEXTS[text].encode(codec)) == TEXTS[text]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read(text, codec):
    assert decode("c.txt", TEXTS[text].encode(codec)) == TEXTS[text]


def test_a_null_is_a_character_like_others():
    for text in ("a \x00 b\n", "id\ttext\nx\ta \x00\n", "\x00", ""):
        assert decode("c.txt", text.encode()) == text


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("the “man” at the café in Škoda town\n", "cp1252"),
        ("Мужчина шёл по улице и увидел женщину.\n", "cp1251"),
        ("Мужчина шёл по улице и увидел женщину.\n" * 9, "koi8-r"),
        ("男は町で女を見た。彼は本を読んだ。\n", "cp932"),
        ("남자가 도시에서 여자를 보았다.\n", "cp949"),
        ("ผู้ชายเห็นผู้หญิง\n", "cp874"),
        ("これは本です\n", "iso2022_jp"),
    ],
)
def test_the_advice_makes_the_text(text, codec):
    assert advised(text.encode(codec)) == text


@pytest.mark.parametrize("codec", ["cp1250", "cp1252", "cp1254"])
def test_the_reader_sees_how_each_encoding_would_read(codec):
    said = refusal("elle était près de la rivière\n".encode("cp1252"))
    assert "line 1, byte 0xe9" in said
    assert "WINDOWS-1252 ('elle était près de la rivière')" in said
    assert "LATIN1" not in said
    assert "ISO-8859" not in said


def test_damage_is_not_an_encoding():
    text = TEXTS["fr"].encode()
    assert "cut off; copy it again" in refusal(text + "é".encode()[:1])
    assert "nearly all of it is: mend the lines that `grep -naxv" in refusal(text * 3 + b"caf\xe9 x\n")
    assert "grep" not in refusal("le café".encode("cp1252"))


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x1f\x8b\x08", "gzip"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"PK\x03\x04\xff", "zip archive"),
        (b"%PDF-1.7\xff", "PDF"), (b"ARROW1\0\0\xff", "Arrow"),
        (b"SQLite format 3\x00\x10\x00", "SQLite"),
        (b"\xd0\xcf\x11\xe0", "old office document"), (b"\x93NUMPY", "NumPy"), (b"\x89HDF\r\n", "HDF5"),
        (codecs.BOM_UTF32_LE + b"a\0\0\0", "UTF-32"), (codecs.BOM_UTF16_LE + b"a\0", "UTF-16"),
    ],
)  # fmt: skip
def test_files_of_programs_are_named(start, kind):
    assert kind in refusal(start)
