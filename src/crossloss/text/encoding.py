"""Files to text: UTF-8, strictly; anything else is refused with what it probably is and how it would then read."""

import bz2
import codecs
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO, Any

from charset_normalizer import from_bytes

from crossloss.core import UserError, refusing

COMPRESSED: dict[str, tuple[str, Any]] = {".gz": ("gzip", gzip), ".bz2": ("bzip2", bz2)}
"""Endings of packed files: what they are called, and the module that unpacks them."""
OTHER_FORMATS = {
    b"\x1f\x8b": "gzip (name it .gz)",
    **dict.fromkeys((b"BZh%d1AY" % level for level in range(1, 10)), "bzip2 (name it .bz2)"),
    b"PAR1\x15": "Parquet (name it .parquet)",
    b"PK\x03\x04": "a zip archive (unpack it) or an office document (save it as text or csv)",
    b"\x28\xb5\x2f\xfd": "zstandard (unpack it)",
    b"\xfd7zXZ": "xz (unpack it)",
    b"7z\xbc\xaf": "a 7z archive (unpack it)",
    b"\xd0\xcf\x11\xe0": "an old office document (save it as text or csv)",
    b"%PDF-": "PDF (save it as text)",
    b"ARROW1\x00": "Arrow (write it as Parquet)",
    b"SQLite format 3\x00": "an SQLite database (save the table as csv)",
    b"\x93NUMPY": "a NumPy array (save the text as text)",
    b"\x89HDF": "HDF5 (save the text as text)",
    b"\x80": "a Python pickle, which is never opened here (save it as text)",
    **dict.fromkeys((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "UTF-32 (convert it with `iconv -f UTF-32 -t UTF-8`)"),
    **dict.fromkeys((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "UTF-16 (convert it with `iconv -f UTF-16 -t UTF-8`)"),
}
"""First bytes of what is no text, and what to do with it."""
_ICONV = {f"cp125{page}": f"WINDOWS-125{page}" for page in "201345678"} | {
    "cp874": "CP874", "koi8_r": "KOI8-R", "mac_roman": "MACINTOSH", "cp932": "CP932", "euc_jp": "EUC-JP",
    "gb18030": "GB18030", "big5": "BIG5", "cp949": "CP949",
}  # fmt: skip
"""Encodings that are looked for, the likeliest first, as iconv calls them."""
_WIDE = {"UTF-32LE": (4, 0), "UTF-32BE": (4, 1), "UTF-16LE": (2, 0), "UTF-16BE": (2, 1)}
"""Bytes of a character, and which of every two a Latin letter uses."""
_ESCAPED = re.compile(rb"\x1b[$(][@A-DIJ]")
PIECE = 1 << 22
"""Bytes of unpacked text that are decoded at once."""
LOOKED_AT = 1 << 16
SHOWN = 60
"""Bytes of a line that are shown as an encoding would read them."""
LEAST_NULLS = 0.03
"""Part of the bytes of UTF-16 text that is null at least."""


def packing(path: PurePath) -> str:
    """.gz, .bz2 or "", by the last ending."""
    return suffix if (suffix := path.suffix.lower()) in COMPRESSED else ""


def read_text(path: Path) -> str:
    """Text of a file, unpacked where its name says that it is packed; what cannot be read is refused."""
    return "".join(text_pieces(path))


def text_pieces(path: Path) -> Iterator[str]:
    """Yield ``read_text`` in pieces of ``PIECE`` bytes or somewhat more, each but the last ending in a line feed."""
    with refusing((OSError, ValueError), f"{path} cannot be read", "check the path"):  # ValueError: a null in the name
        if path.is_dir():
            raise UserError(f"{path} is a folder: give a text, tsv, csv or jsonl file.")
        file = path.open("rb")
    lines, left = 0, b""
    with file:
        for raw in _unpacked(path, file):
            left += raw
            end = left.rfind(b"\n") + 1
            if len(raw) < PIECE or not end:  # the last, or no line ends in it
                continue
            yield decode(path, left[:end], lines)
            lines, left = lines + left.count(b"\n", 0, end), left[end:]
        if left or not lines:
            yield decode(path, left, lines)


def _unpacked(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Yield the unpacked bytes of an open file, ``PIECE`` at a time."""
    if not (pack := packing(path)):
        while raw := file.read(PIECE):
            yield raw
        return
    kind, module = COMPRESSED[pack]
    empty = not file.peek(1)  # type: ignore[attr-defined]
    with module.open(file, "rb") as source:
        while not empty:
            with refusing((EOFError, zlib.error, OSError), f"{path} is no complete {kind} file", "copy it again"):
                raw = source.read(PIECE)
            if not raw:
                break
            yield raw


def decode(path: object, raw: bytes, lines: int = 0) -> str:
    """Text of a file's bytes, without a byte order mark; what is not UTF-8 is refused with what it rather is.

    ``lines`` are before these bytes; of a file's start there are none.
    """
    for first, kind in OTHER_FORMATS.items() if lines == 0 else ():
        if raw.startswith(first):
            raise UserError(f"{path} is {kind}: give UTF-8 text.")
    if wide := _wide(raw):
        raise UserError(f"{path} is {wide[:6]} without a byte order mark: convert it with `iconv -f {wide} -t UTF-8`.")
    try:
        text = raw.decode("utf-8" if lines else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} {_advice(raw, error, lines)}.") from error
    if _ESCAPED.search(raw):
        raise UserError(f"{path} is ISO-2022 text (it has escapes): convert it with `iconv -f ISO-2022-JP -t UTF-8`.")
    return text


def _wide(raw: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, as iconv calls it, where null bytes and their places say that it is that.

    Latin letters are every second byte, with nulls between. Of other alphabets only spaces and line ends have nulls,
    and all of those do. A null here and there is in UTF-8 too.
    """
    nulls = raw.count(b"\x00")
    if not nulls or nulls < LEAST_NULLS * len(raw):
        return None
    if len(raw) >= PIECE:  # which may end within a character
        raw = raw[: len(raw) // 4 * 4]
        nulls = raw.count(b"\x00")
    for name, (size, used) in _WIDE.items():
        try:
            text = raw.decode(name)
        except UnicodeDecodeError:
            continue
        latin = b"\x00" not in raw[used::2] and raw[1 - used :: 2].count(b"\x00") > 0.25 * len(raw)
        if size == 4 or latin or (sum(map(text.count, " \n\r.,")) == nulls and _one_alphabet(text)):
            return name
    return None


def _one_alphabet(text: str) -> bool:
    """Whether most of a text is of one alphabet, which bytes taken two at a time for characters never are."""
    blocks = Counter(ord(character) >> 8 for character in text if character.isalpha())
    return bool(blocks) and blocks.most_common(1)[0][1] > 0.5 * blocks.total()


def _advice(raw: bytes, error: UnicodeDecodeError, lines: int) -> str:
    """Why bytes behind so many lines are not UTF-8, and what would make them so."""
    line = lines + raw.count(b"\n", 0, error.start) + 1
    where = f"is not UTF-8 (line {line}, byte 0x{raw[error.start]:02x})"
    if error.reason == "unexpected end of data":
        return f"{where}: it ends inside of a character, so it was cut off; copy it again"
    read = raw.decode("utf-8", "replace")
    if sum(not c.isascii() for c in read) > 11 * read.count("\ufffd"):
        return f"{where}, though nearly all of it is: mend the lines that `grep -naxv '.*' FILE` shows"
    start = raw.rfind(b"\n", 0, error.start) + 1
    shown = raw[start:].split(b"\n", 1)[0].strip()[:SHOWN]
    readings = _readings(raw[max(0, start - LOOKED_AT // 2) : start + LOOKED_AT // 2], shown)
    if not readings:
        return f"{where}: save it as UTF-8 with the program that made it"
    listed = ", ".join(f"{name} ({text!r})" for name, text in readings.items())
    return (
        f"{where}: it may be {listed}; convert it from the one in which line {line} reads right, such as with "
        f"`iconv -f {next(iter(readings))} -t UTF-8`, or save it as UTF-8 with the program that made it"
    )


def _readings(raw: bytes, shown: bytes) -> dict[str, str]:
    """The likeliest encodings of some bytes, at most three, and how each reads a line of them, all differently."""
    matches = from_bytes(raw, cp_isolation=list(_ICONV))
    best = matches.best()
    alike = [] if best is None else [best.encoding, *best.could_be_from_charset]
    order = [name for name in _ICONV if name in alike]  # those that read it alike, the commonest first
    readings: dict[str, str] = {}
    for name in dict.fromkeys([*order, "cp1252", *(match.encoding for match in matches if match.encoding in _ICONV)]):
        try:
            raw.decode(name)
        except UnicodeDecodeError:
            continue
        text = " ".join(shown.decode(name, "ignore").split())
        if text not in readings.values() and len(readings) < 3:
            readings[_ICONV[name]] = text
    return readings
