"""A run's model and its corrected corpus, for other programs."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from crossloss.core import UserError
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.word2vec import projector, save_word2vec
from crossloss.objectives import Weat
from crossloss.plans.transfer import copies
from crossloss.run.run import Run
from crossloss.text.write import encode_corpus
from crossloss.utils import files

FORMATS = ("word2vec", "word2vec-binary", "projector", "corpus")


def export(
    run: Run, form: str, out: Path, *, objectives: Sequence[Weat] = (), plan: np.ndarray | None = None
) -> list[Path]:
    """Write files of one format into a folder; files of the same names are replaced.

    Parameters
    ----------
    form : str
        word2vec (vectors.txt and contexts.txt), word2vec-binary (vectors.bin and contexts.bin), projector (vectors.tsv
        and metadata.tsv of TensorFlow's Embedding Projector), or corpus (in the layout it came in).
    out : Path
        The folder, made where it is absent.
    objectives : sequence of Weat
        Whose word sets the projector shows.
    plan : (n,) array, optional
        Sample weights of the corpus, the run's own by default: a sample of weight 0 is left out; a fraction of a weight
        becomes a copy with that probability, drawn from a fixed seed.

    Raises
    ------
    UserError
        No such format, the folder cannot be written, gensim is needed and not installed, or a plan without corpus.
    """
    if form not in FORMATS:
        raise UserError(f"There is no format {form!r}; there are: {', '.join(FORMATS)}.")
    if plan is not None and form != "corpus":
        raise UserError("A plan changes the corpus: give --format corpus, or train with it and export that run.")
    model = run.model
    if not isinstance(model, SkipGram):
        raise UserError(
            f"Export writes words: a {model.kind} model is model.safetensors in its run folder, and "
            "module.load_state_dict(dict(run.view), strict=False) takes it."
        )
    files.make_folder(out)
    if form == "corpus":
        weights = run.weights if plan is None else plan
        if len(weights) != len(model.corpus):
            raise UserError(
                f"The plan has {len(weights)} samples and the corpus {len(model.corpus)}: give the run's own."
            )
        contents = encode_corpus(model.corpus, copies(weights, np.random.default_rng(0)))
        for name, content in contents.items():
            files.make_folder((out / name).parent)
            files.write_bytes(out / name, content)
        return [out / name for name in contents]
    words, view = model.vocabulary.words, run.view
    spaced = next((word for word in words if word.split() != [word]), None)
    if spaced is not None:
        raise UserError(
            f"The word {spaced!r} has white space in it, which no file of vectors can hold: read the corpus with "
            "another --token-pattern."
        )
    vectors, contexts = (m.cpu().numpy() for m in (view.vectors, view.contexts))
    if form == "projector":
        sets = defaultdict(list)
        for test in objectives:
            for name, members in test.sets.items():
                for word in members:
                    sets[word].append(f"{test.name} {name}")
        joined = {word: ", ".join(names) for word, names in sets.items()}
        for name, text in projector(words, vectors, model.vocabulary.counts.tolist(), joined).items():
            files.write_text(out / name, text)
        return [out / name for name in ("vectors.tsv", "metadata.tsv")]
    binary = form == "word2vec-binary"
    paths = [out / f"{name}.{'bin' if binary else 'txt'}" for name in ("vectors", "contexts")]
    for path, matrix in zip(paths, (vectors, contexts), strict=True):
        files.write(path, partial(save_word2vec, words=words, vectors=matrix, binary=binary))
    return paths
