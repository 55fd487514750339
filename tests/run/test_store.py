"""A store holds values by name, in memory and in a folder alike."""

import numpy as np
import pyarrow as pa
import pytest

from crossloss.run.folder import RunFolder
from crossloss.run.store import Store, content_key


@pytest.fixture(params=["memory", "folder"])
def store(request, tmp_path):
    made = Store() if request.param == "memory" else RunFolder(tmp_path / "run", create=True)
    yield made
    made.close()


def test_a_value_comes_back_and_another_name_has_none(store):
    store.save("a.json", {"x": [1, 2]})
    store.save("b.safetensors", {"x": np.arange(3.0)})
    assert store.load("a.json") == {"x": [1, 2]}
    assert np.array_equal(store.load("b.safetensors")["x"], [0, 1, 2])
    assert store.load("c.json") is None
    store.save("a.json", {"x": []})
    assert store.load("a.json") == {"x": []}


def test_a_table_in_parts_is_one(store):
    store.save_tables("t.parquet", [pa.table({"n": [1, 2]}), pa.table({"n": [3]})])
    assert store.load("t.parquet").to_pydict() == {"n": [1, 2, 3]}


def test_what_was_made_of_the_same_inputs_is_not_made_again(store):
    made = []

    def make():
        made.append(1)
        return {"x": np.full(2, float(len(made)))}

    def get(*key, suffix=".safetensors"):
        return store.get_or_make("thing", *key, make=make, suffix=suffix)["x"].tolist()

    assert [get(1, "a"), get(1, "a"), get(2, "a"), get(1, "a")] == [[1, 1], [1, 1], [2, 2], [1, 1]]
    assert get(np.arange(3)) == get(np.arange(3)) == [3, 3]
    assert get(np.arange(4)) == [4, 4]
    assert store.entry("thing", 1).file.endswith(".json")
    assert store.entry("thing", 1, suffix=".safetensors").file.endswith(".safetensors")


def test_figures_are_added_and_none_is_left_out(store):
    store.log_metrics({"a": 1, "b": None})
    store.log_metrics({"c": 2.5})
    store.log_metrics({"b": None})
    assert store.metrics == {"a": 1.0, "c": 2.5}


def test_keys_differ_by_every_input():
    keys = {content_key(*k) for k in [(), (1,), (1, 2), ([1, 2],), (np.arange(2),), (np.arange(2.0),), ({"a": 1},)]}
    assert len(keys) == 7
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
