"""What a corpus of some size takes in 1 to 64 processes, by the cost model, and what breaks first as it grows.

    python benchmarks/scale_model.py --tokens 1e9 --words 100000 --dimension 100 --columns 2048

Seconds and bytes are those that the package estimates before a run (``models/skipgram/estimate.py``), at --speed a
core and one core a process; reading and counting by seconds a word of one core (results/tokenising.json); sums over the
processes at --wire bytes a second; memory with one objective scored at a time. Distinct pairs grow with a power of the
words, by --pairs and --growth: wikipedia-180k has 5.0 million of 3.9 million words, wikipedia-600k 14.0 of 13.0
(minimum counts 8 and 5, window 5), with growing vocabularies, so this is from above. Nothing here was run at that size.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from record import RESULTS, Record

from crossloss.models.skipgram.estimate import _seconds, footprint
from crossloss.models.skipgram.settings import make_settings
from crossloss.text.streamed import STRETCHES

SENTENCE = 21.7
"""Words of a sentence, and elements of the counts and characters a word, as in wikipedia-600k at window 5."""
ELEMENTS, CHARACTERS = 4.82, 6.0
MEASURED = 13.05e6
"""Words of the corpus whose distinct pairs are --pairs."""
MERGE = 1.5e-7
"""Seconds a distinct pair of sorting what all stretches have, in every process."""
COUNTED, KEPT = 28, 8
"""Bytes of an element on disk while counting, and afterwards."""


@dataclass
class Text:
    """A corpus of which only the size is known, in a file."""

    words: float
    file: Path = Path("corpus.safetensors")

    def __len__(self) -> int:
        return round(self.words / SENTENCE)

    @property
    def tokens(self) -> range:
        return range(round(self.words))


def predicted(given: argparse.Namespace, words: float, processes: int) -> dict[str, float]:
    """Seconds by stage, bytes of a process, bytes on disk."""
    chosen: dict[str, Any] = {"dimension": given.dimension, "negative_columns": given.columns, "max_words": 0}
    settings, pairs = make_settings(**chosen), given.pairs * (words / MEASURED) ** given.growth
    pairs = min(pairs, given.words * (given.words + 1) / 2)
    elements, k = ELEMENTS * words, given.objectives
    with patch("crossloss.utils.distributed.count", lambda: processes):
        gradient, pullback, each = _seconds(settings, given.words, round(pairs))
        needed = footprint(settings, Text(words), words=given.words, pairs=round(pairs), elements=0)  # type: ignore[arg-type]
    sent = 2 * (processes - 1) / processes * 8 * given.words * given.dimension / given.wire
    scan = KEPT * elements / processes / given.disk
    return {
        "reading": words * given.reading,
        "counting": words * given.counting / min(processes, STRETCHES) + MERGE * pairs + KEPT * elements / given.disk,
        "training": given.steps * (gradient + sent) + scan,
        "scoring": given.steps * (gradient + pullback + k * each + sent * (1 + k)) + scan,
        "memory": needed.fixed + needed.direction + 2 * needed.theta,
        "memory_of_another_objective": needed.direction,
        "disk": COUNTED * elements + (4 + CHARACTERS) * words + (given.steps + 1) * 16 * given.words * given.dimension,
        "pairs": pairs,
    }


def limits(given: argparse.Namespace) -> dict[str, float]:
    """Words of the text at which each thing breaks, in the most processes asked for."""
    n = max(given.processes)
    tests = {
        f"memory of a process above {given.memory / 1e9:g} GB": lambda p: p["memory"] > given.memory,
        "2^31 distinct pairs, whose numbers are int32": lambda p: p["pairs"] >= 2**31,
        "reading by one process takes a day": lambda p: p["reading"] > 86_400,
        f"counting by at most {STRETCHES} processes takes a day": lambda p: p["counting"] > 86_400,
        "training takes a day": lambda p: p["training"] > 86_400,
        "scoring takes a day": lambda p: p["scoring"] > 86_400,
        f"files above {given.space / 1e12:g} TB": lambda p: p["disk"] > given.space,
    }
    found = {}
    for name, broken in tests.items():
        low, high = 1e6, 1e14
        for _ in range(40):
            middle = (low * high) ** 0.5
            low, high = (low, middle) if broken(predicted(given, middle, n)) else (middle, high)
        if low < 0.9e14:
            found[name] = low
    return dict(sorted(found.items(), key=lambda item: item[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, note in (
        ("tokens", 1e9, "words of the text"), ("words", 100_000, "V"), ("dimension", 100, "d"),
        ("columns", 2048, "drawn negatives; 0: all"), ("objectives", 4, "k"), ("steps", 50, "of training"),
        ("pairs", 14.0e6, "distinct pairs of 13 million words"), ("growth", 0.85, "power of the words in the pairs"),
        ("reading", 1.5e-6, "seconds a word"), ("counting", 3.5e-6, "seconds a word of one core"),
        ("wire", 1e9, "bytes a second between processes"), ("disk", 5e8, "bytes a second of the disk"),
        ("speed", 1.4e11, "flops a second of a core in the products of a tile"),
        ("memory", 64e9, "bytes that a process may take"), ("space", 4e12, "bytes on disk"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{note} ({default:g})")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 8, 16, 64])
    parser.add_argument("--out", type=Path, default=RESULTS / "scale-model.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Record(given.out)
    with patch("crossloss.models.skipgram.estimate._tile_speed", lambda *_: given.speed):
        for n in given.processes:
            for name, value in predicted(given, given.tokens, n).items():
                record.put(f"n{n}.{name}", float(value))
        broken = limits(given)
    for number, (name, words) in enumerate(broken.items(), 1):
        record.put(f"breaks.{number}", f"{name}: at {words:.2g} words in {max(given.processes)} processes")


if __name__ == "__main__":
    main()
