"""A skip-gram run: a corpus, its counts, the field, and the training run on it; in memory or in a folder."""

import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import crossloss
from crossloss import distributed
from crossloss.core import UserError
from crossloss.inputs import not_negative, weight_numbers
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.negatives import DrawnNegatives
from crossloss.objectives.words import normalise_all
from crossloss.optimisers import HeavyBall, rising
from crossloss.run import atomic
from crossloss.run.available import peak_memory
from crossloss.run.folder import RunFolder, content_key
from crossloss.run.memory import Needs, needs
from crossloss.run.progress import Track, quiet
from crossloss.run.settings import Settings, make_settings, parse_bytes
from crossloss.run.training import FolderStates, MemoryStates, States, Training, retrained
from crossloss.text.pairs import PairCounts, count_pairs
from crossloss.text.read import Corpus
from crossloss.text.streamed import Streamed
from crossloss.text.tokens import normal
from crossloss.text.vocabulary import Vocabulary, build_vocabulary

COLLAPSED = 0.5
"""Part of their initial length below which a prior has drawn all vectors to zero; training makes them longer."""
MEMORY = "4GB"
"""Default budget of a run."""


@dataclass(eq=False)
class Run:
    """A trained skip-gram model with all that its scores need.

    Attributes
    ----------
    corpus : Corpus
    vocabulary, counts : Vocabulary, PairCounts
    settings : Settings
    field : SkipGramField
    training : Training
        The trajectory; ``training.weights`` (n,) are the sample weights it was trained with.
    keep_words : tuple of str
    key : str
        Hash of all that fixes the result.
    memory : int
        Budget in bytes.
    folder : RunFolder or None
    """

    corpus: Corpus
    vocabulary: Vocabulary
    counts: PairCounts
    settings: Settings
    field: SkipGramField
    training: Training
    keep_words: tuple[str, ...]
    key: str
    memory: int
    folder: RunFolder | None = None

    def __post_init__(self) -> None:
        """Corpus, vocabulary and counts are shared, and read-only from here on: scores and plans go by their order."""
        matrix = self.counts.matrix
        for array in (
            *(self.corpus.weights, self.corpus.tokens, self.corpus.indptr),
            *(self.vocabulary.counts, self.vocabulary.keep, self.counts.pairs),
            *(matrix.data, matrix.indices, matrix.indptr),
        ):
            array.flags.writeable = False

    @property
    def embeddings(self) -> Embeddings:
        """Words with their trained vectors: a copy, which may be changed."""
        return _own(self.field.view(self.training.theta))

    @property
    def weights(self) -> np.ndarray:
        """Sample weights it was trained with, (n,) float64: a copy."""
        return np.array(self.training.weights.cpu().numpy())

    @property
    def needs(self) -> Needs:
        """What it holds in memory."""
        return _needs(self.corpus, self.counts, self.training.initial, self.settings, mapped=self.folder is not None)

    @property
    def loss(self) -> float:
        """Final training loss, nats per pair."""
        return self.field.loss(self.training.theta, self.training.weights)

    def view(self, theta: Tensor, *, seed: int | None = None) -> Embeddings:
        """Words with the vectors of other final parameters (p,), from another start where ``seed`` is given."""
        if seed is None or seed == self.settings.seed:
            return _own(self.field.view(theta))
        return self.field.started(self.field.initial(seed)).view(theta)

    def retrain(self, weights: np.ndarray, *, seed: int | None = None, track: Track = quiet) -> Tensor:
        """Final parameters (p,) of the same run with other weights or another start; nothing is stored.

        Raises
        ------
        UserError
            Weights that are no finite numbers, one for each sample.
        """
        w = torch.from_numpy(weight_numbers(weights, len(self.corpus), "the corpus"))
        theta = self.training.initial if seed is None else self.field.initial(seed)
        return retrained(self.field, self.training.optimiser, w, theta, self.training.steps, track)

    def close(self) -> None:
        """Let go of the run's folder."""
        if self.folder is not None:
            self.folder.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def _own(view: Embeddings) -> Embeddings:
    """The view with words and start of its own."""
    start = None if view.initial is None else view.initial.clone()
    return replace(view, words=list(view.words), index=dict(view.index), initial=start)


def train(
    corpus: Corpus,
    *,
    weights: np.ndarray | None = None,
    like: Run | None = None,
    keep_words: Iterable[str] = (),
    out: str | Path | None = None,
    overwrite: bool = False,
    memory: str = MEMORY,
    track: Track = quiet,
    **settings: Any,
) -> Run:
    """Train exact skip-gram on a corpus.

    Parameters
    ----------
    corpus : Corpus
    weights : (n,) array, optional
        Sample weights, such as a plan's; the corpus's own by default. Vocabulary, keep-probabilities, noise
        distribution and preconditioner are always those of the corpus's own weights.
    like : Run, optional
        Take vocabulary, counts, words and settings from this run (of the same corpus).
    keep_words : iterable of str
        Words kept whatever their count: those of the objectives.
    out : path, optional
        Run folder; a stopped run in it goes on, a finished one is taken as it is.
    overwrite : bool
        Replace a different run in ``out``.
    memory : str
        Budget such as "4GB": where it is small, fewer states are stored and more replayed, and fewer objectives are
        scored in one pass.
    track : Track
        ``cl.bars`` shows progress.
    **settings
        See ``Settings``: dimension, window, negatives, seed, ...

    Raises
    ------
    UserError
        Bad settings, a corpus or weights that do not fit, or a folder that holds something else.
    """
    budget = parse_bytes(memory)
    if like is not None:
        if corpus.digest != like.corpus.digest:
            raise UserError("like= is a run of another corpus: pass the corpus it was trained on.")
        chosen = make_settings(**(like.settings.model_dump() | settings))
        if chosen.counting != like.settings.counting:
            raise UserError("like= fixes min_count, max_words, subsample and window: leave them out.")
        keep = like.keep_words
    else:
        chosen = make_settings(**settings)
        keep = tuple(
            sorted(
                {normal(word, corpus.form) for word in normalise_all(keep_words, "keep_words", least=0, unique=False)}
            )
        )
    w = check_weights(corpus, weights)
    identity = {
        "corpus": corpus.digest,
        "settings": chosen.model_dump(),
        "keep_words": list(keep),
        "weights": None if weights is None else content_key(w.tolist()),
    }
    folder = None if out is None else _open_folder(Path(out), identity, overwrite)
    try:
        if folder is not None and weights is not None:
            atomic.write_arrays(folder.file("weights.safetensors"), {"weights": w})
        vocabulary, counts = _count(corpus, chosen, keep, folder, like, track)
        run = _assemble(corpus, vocabulary, counts, chosen, keep, content_key(identity), w, folder, budget, like)
        _finish(run, track)
    except BaseException:
        if folder is not None:
            folder.close()
        raise
    return run


def check_weights(corpus: Corpus, weights: np.ndarray | None) -> np.ndarray:
    """Validated weights (n,) float64; the corpus's own where None.

    Raises
    ------
    UserError
        As ``inputs.weight_numbers``; a negative weight, or nothing left to train on.
    """
    if weights is None:
        return corpus.weights
    return not_negative(weight_numbers(weights, len(corpus), "the corpus"))


def _open_folder(path: Path, identity: dict[str, Any], overwrite: bool) -> RunFolder:
    folder = RunFolder(path, create=True, overwrite=overwrite)
    known = folder.manifest.get("identity")
    if known is not None and known != identity:
        if not overwrite:
            folder.close()
            different = [name for name, value in identity["settings"].items() if known["settings"].get(name) != value]
            different += [name for name in ("corpus", "keep_words", "weights") if known[name] != identity[name]]
            raise UserError(
                f"{path} holds another run (different: {', '.join(different)}): "
                "choose another --out, or --overwrite to replace it."
            )
        folder.clear()
    folder.describe(identity=identity, environment=environment())
    return folder


def environment() -> dict[str, str]:
    """Versions and threads that a run's bytes depend on."""
    return {
        "crossloss": crossloss.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "processes": str(distributed.count()),
        "cores": str(os.cpu_count()),
    }


def _count(
    corpus: Corpus,
    settings: Settings,
    keep: Sequence[str],
    folder: RunFolder | None,
    like: Run | None,
    track: Track,
) -> tuple[Vocabulary, PairCounts]:
    key = content_key(corpus.digest, settings.counting, keep)
    files = ("samples.parquet", "vocabulary.json", "pairs.safetensors")
    done = folder is not None and folder.done("counts", key, *files)
    if like is not None:  # before what is stored: two runs at once hold one set of counts
        vocabulary, counts = like.vocabulary, like.counts
    elif folder is not None and done:
        vocabulary, counts = _load_counts(folder)
    else:
        vocabulary = build_vocabulary(
            corpus,
            min_count=settings.min_count,
            max_words=settings.max_words or None,
            keep_words=keep,
            subsample=settings.subsample,
        )
        with track("counting pairs") as progress:
            if folder is None:
                return vocabulary, count_pairs(corpus, vocabulary, window=settings.window, progress=progress)
            parts = Streamed(corpus, vocabulary, window=settings.window, folder=folder.path, progress=progress)
            atomic.write(folder.file("pairs.safetensors"), parts.write)
            parts.close()
    if folder is None or done:
        return vocabulary, counts
    if like is not None:
        atomic.write_arrays(folder.file("pairs.safetensors"), counts.to_tensors())
    atomic.write_table(folder.file("samples.parquet"), corpus.to_table())
    atomic.write_json(folder.file("vocabulary.json"), vocabulary.to_json())
    folder.finish("counts", key)
    return (vocabulary, counts) if like is not None else _load_counts(folder)


def _load_counts(folder: RunFolder) -> tuple[Vocabulary, PairCounts]:
    vocabulary = Vocabulary.from_json(atomic.read_json(folder.file("vocabulary.json")))
    return vocabulary, PairCounts.from_tensors(atomic.map_arrays(folder.file("pairs.safetensors")))


def _assemble(
    corpus: Corpus,
    vocabulary: Vocabulary,
    counts: PairCounts,
    settings: Settings,
    keep: Sequence[str],
    key: str,
    weights: np.ndarray,
    folder: RunFolder | None,
    memory: int,
    like: Run | None = None,
) -> Run:
    same = ["dimension", "negatives", "negative_columns", "exponent", "prior", "dtype", "device"]
    same += ["seed"] * bool(settings.negative_columns)
    if like is not None and all(getattr(settings, name) == getattr(like.settings, name) for name in same):
        field = like.field
    else:
        field = _field(counts, vocabulary, corpus.weights, settings)
    optimiser = HeavyBall(settings.lr * field.step_scale(), rising(settings.momentum))
    initial = field.initial(settings.seed)
    states: States = MemoryStates()
    if folder is not None:
        states = FolderStates(folder.file("states"), settings.device)
        if folder.manifest.get("training") != key:
            states.clear()
            folder.describe(training=key)
    every = _needs(corpus, counts, initial, settings, mapped=folder is not None).every(settings.steps, memory)
    field = field.started(initial)
    training = Training(field, optimiser, torch.from_numpy(np.array(weights)), settings.steps, initial, states, every)
    return Run(corpus, vocabulary, counts, settings, field, training, tuple(keep), key, memory, folder)


def _field(counts: PairCounts, vocabulary: Vocabulary, weights: np.ndarray, settings: Settings) -> SkipGramField:
    names = ("dimension", "negatives", "exponent", "prior", "device")
    given: dict[str, Any] = {name: getattr(settings, name) for name in names}
    given["dtype"] = settings.torch_dtype
    if settings.negative_columns:
        given |= {"columns": settings.negative_columns, "seed": settings.seed}
        return DrawnNegatives(counts, vocabulary, weights, **given)
    return SkipGramField(counts, vocabulary, weights, **given)


def _needs(corpus: Corpus, counts: PairCounts, initial: Tensor, settings: Settings, *, mapped: bool) -> Needs:
    return needs(
        samples=len(corpus),
        tokens=len(corpus.tokens),
        elements=0 if mapped else counts.matrix.nnz,
        pairs=len(counts.pairs),
        parameters=initial.numel(),
        width=initial.element_size(),
        drawn=bool(settings.negative_columns),
    )


def _finish(run: Run, track: Track) -> None:
    """Train what is left to train; in a folder, write the model and its figures."""
    folder = run.folder
    start = time.perf_counter()
    with track("training") as progress:
        run.training.finish(progress)
    seconds = time.perf_counter() - start
    if folder is not None and folder.done("train", run.key, "model.safetensors", "metrics.json"):
        return
    loss = run.loss
    if not loss <= run.field.loss(run.training.initial, run.training.weights):
        raise UserError(f"Training diverged: the loss ends at {loss:.3g}, above its start; choose a smaller --lr.")
    if run.training.theta.norm() < COLLAPSED * run.training.initial.norm():
        raise UserError(
            f"The prior of {run.field.prior:g} outweighs this corpus, whose vectors it draws to zero: give a smaller "
            "--prior, or more text."
        )
    if folder is None:
        return
    final = run.embeddings
    atomic.write_tensors(folder.file("model.safetensors"), {"vectors": final.vectors, "contexts": final.contexts})
    folder.record(
        {
            "train.loss": loss,
            "train.prior": run.field.prior,
            "train.seconds": seconds,
            "peak_memory_bytes": peak_memory(),
        }
    )
    folder.finish("train", run.key)


def load(path: str | Path, *, memory: str = MEMORY) -> Run:
    """Open a finished run folder.

    Raises
    ------
    UserError
        No run there, or it did not finish training.
    """
    folder = RunFolder(Path(path))
    try:
        return _load(folder, parse_bytes(memory))
    except BaseException:
        folder.close()
        raise


def _load(folder: RunFolder, budget: int) -> Run:
    identity = folder.manifest.get("identity", {})
    if "train" not in folder.manifest["stages"]:
        raise UserError(f"The run in {folder.path} did not finish training: give the command that made it again.")
    corpus = Corpus.from_table(atomic.read_table(folder.file("samples.parquet")))
    vocabulary, counts = _load_counts(folder)
    settings = make_settings(**identity["settings"])
    weights = corpus.weights
    if identity["weights"] is not None:
        weights = atomic.read_arrays(folder.file("weights.safetensors"))["weights"]
    key = content_key(identity)
    run = _assemble(corpus, vocabulary, counts, settings, identity["keep_words"], key, weights, folder, budget)
    run.training.finish()  # states that were deleted are made again
    return run
