"""One instance of every objective of plain values, on fourteen made-up words, for tests that hold for all."""

from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.objectives import (
    association,
    direct_bias,
    displacement,
    mac,
    margin,
    one_sided,
    projection,
    ripa,
    separation,
    similarity,
)
from crossloss.objectives.weat import Weat

WORDS = [f"w{i}" for i in range(14)]
TEST = Weat("t", ("w0", "w1", "w2"), ("w3", "w4", "w5", "w6"), ("w7", "w8", "w9"), ("w10", "w11", "w12", "w13"))

EVERY = {
    "weat": TEST,
    "statistic": Weat("s", TEST.X, TEST.Y, TEST.A, TEST.B, kind="statistic"),
    "one-sided": one_sided(TEST.X, TEST.Y, TEST.A),
    "association": association("w0", ["w1", "w2"], ["w3", "w4", "w5"]),
    "margin": margin("w0", "w1", ["w2", "w3"]),
    "similarity": similarity("w0", "w1"),
    "displacement": displacement("w0"),
    "toward": displacement("w0", toward=["w1", "w2"]),
    "along": displacement("w0", along=[1, 0, -2, 0, 0.5]),
    "ripa": ripa(["w0", "w1"], [("w2", "w3"), ("w4", "w5")]),
    "direct-bias": direct_bias(["w0", "w1"], [("w2", "w3"), ("w4", "w5")]),
    "projection": projection("w0", [("w1", "w3"), ("w4", "w5"), ("w6", "w7")]),
    "mac": mac(["w0", "w1"], [["w2", "w3"], ["w4", "w5", "w6"]]),
    "separation": separation(["w0", "w1", "w2", "w3"]),
    "sum": 2 * similarity("w0", "w1") - TEST / 3,
    "absolute": abs(association("w0", ["w1", "w2"], ["w3", "w4", "w5"])),
}


def view(vectors, initial=None, words=WORDS, contexts=None):
    """Vectors (V, d) by word, and where they began."""
    return Embeddings(words, {w: i for i, w in enumerate(words)}, vectors, contexts, initial)
