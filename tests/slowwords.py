"""Words of a text by the rules of tokens.py, one character at a time, of Unicode's own definitions; no regex in it."""

import unicodedata
from functools import cache
from unicodedata import category, combining, normalize

# Default_Ignorable_Code_Point of DerivedCoreProperties.txt.
IGNORED = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip
UNSPACED_NAMES = (
    "CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL", "KANGXI", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA",
    "HENTAIGANA", "HANGZHOU", "IDEOGRAPHIC", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ", "TAI ", "NEW TAI",
    "JAVANESE ", "BALINESE ", "AHOM ",
)  # fmt: skip


def ignored(character):
    return any(first <= ord(character) <= last for first, last in IGNORED)


def unspaced(character):
    """By the name of the character; good for what the fuzzer draws, not for every sign of these scripts."""
    name = unicodedata.name(character, "") if character else ""
    return (
        name.startswith(UNSPACED_NAMES)
        and (category(character)[0] in "LM" or category(character) in ("Nl", "No"))
        and character not in "ー\uff70\u30fc\uff9e\uff9f"
    )


@cache
def joins(character):
    """Whether it may be composed with the character before."""
    return category(character)[0] == "M" or 0x1161 <= ord(character) <= 0x1175 or 0x11A8 <= ord(character) <= 0x11C2


def slow_prepared(text, form):
    """(character, start, end) of the prepared text."""
    seen = []
    for i, c in enumerate(text):
        if c == "\u200b":
            before = next((other for other in reversed(text[:i]) if not ignored(other)), "")
            after = next((other for other in text[i:] if not ignored(other)), "")
            if unspaced(before) or unspaced(after):
                seen.append((" ", i))
            continue
        if ignored(c):
            continue
        wide = normalize("NFKC", c) if form == "NFKC" and (category(c)[0] in "LM" or category(c) == "Nd") else c
        seen += [(part, i) for part in (c if any(p.isspace() for p in wide) else wide)]
    clusters = []
    for c, i in seen:
        if clusters and joins(c) and not clusters[-1][0][0].isspace():
            clusters[-1].append((c, i))
        else:
            clusters.append([(c, i)])
    return [
        (c, cluster[0][1], cluster[-1][1] + 1)
        for cluster in clusters
        for c in normalize("NFC", "".join(c for c, _ in cluster))
    ]


def slow_fold(word, form):
    """Case folded in canonical order, the dot of a small i left out, and prepared again."""
    folded = []
    for c in normalize("NFD", word).casefold():
        if c == "\u0307" and (folded[-1:] == ["i"] or folded[-2:] == ["i", "\u0328"]):
            continue
        folded.append(c)
    again = normalize("NFC", normalize("NFD", "".join(folded)).casefold())
    return "".join(c for c, _, _ in slow_prepared(again, form))


def slow_tokens(text, form="NFKC"):
    """(start, end, word) of each run of letters with the marks on them."""
    tokens, run = [], []
    for c, start, end in [*slow_prepared(text, form), (" ", 0, 0)]:
        letter = category(c)[0] == "L" or category(c) in ("Nl", "No")
        if letter or (run and category(c)[0] == "M"):
            run.append((c, start, end))
        elif run:
            word = slow_fold("".join(c for c, _, _ in run), form)
            tokens.append((run[0][1], run[-1][2], word))
            run = []
    return tokens


def strange(text):
    """Whether Unicode's tables in Python do not know one of its characters, which newer ones may."""
    return any(category(c) == "Cn" for c in text) or any(combining(c) and category(c)[0] != "M" for c in text)
