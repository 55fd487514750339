"""Plans as files: a weight for every sample, and what the plan is for in the metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crossloss.core import UserError
from crossloss.text.samples import Corpus
from crossloss.utils.files import read_table


def plan_table(weights: np.ndarray, what: Mapping[str, Any]) -> pa.Table:
    """Table of sample (0, ..., n - 1) and weight (n,), with ``what`` as JSON in the metadata."""
    table = pa.table({"sample": np.arange(len(weights)), "weight": np.asarray(weights, dtype=np.float64)})
    return table.replace_schema_metadata({"crossloss": json.dumps(dict(what), sort_keys=True)})


def check_corpus(corpus: Corpus, notes: Mapping[str, Any], source: object) -> None:
    """Refuse the plan of another corpus.

    Raises
    ------
    UserError
        The plan's notes name another corpus.
    """
    if notes.get("field", {}).get("corpus", corpus.digest) != corpus.digest:
        raise UserError(f"{source} was made for another corpus (or with other --candidates or --swap): give the same.")


def read_plan(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Weights (n,) of a plan file, by sample, and what the plan says of its run.

    Raises
    ------
    UserError
        Not a table of sample and weight, or samples that are not 0, ..., n - 1.
    """
    table = read_table(path)
    if not {"sample", "weight"} <= set(table.column_names):
        raise UserError(f"{path} has no columns sample and weight: give a plan made by `crossloss plan`.")
    samples = table["sample"].to_numpy()
    if not np.array_equal(np.sort(samples), np.arange(len(samples))):
        raise UserError(f"{path} must hold every sample of the corpus once, numbered from 0.")
    weights = np.empty(len(samples))
    weights[samples] = table["weight"].to_numpy()
    notes = (table.schema.metadata or {}).get(b"crossloss", b"{}")
    return weights, dict(json.loads(notes))
