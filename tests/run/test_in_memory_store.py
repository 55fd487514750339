"""Results of a run in memory: what was stored is what is loaded."""

import pyarrow as pa

from crossloss.run.store import Store, content_key


def test_what_is_stored_is_loaded():
    store = Store()
    assert store.load("a.json") is None
    store.save("a.json", {"x": 1})
    assert store.load("a.json") == {"x": 1}
    store.save_tables("t.parquet", (pa.table({"n": [i]}) for i in range(3)))
    assert store.load("t.parquet")["n"].to_pylist() == [0, 1, 2]
    store.set_meta(format=3)
    assert store.manifest == {"stages": {}, "format": 3}
    store.log_metrics({"loss": 1, "none": None})
    store.log_metrics({"other": 2.5})
    assert store.metrics == {"loss": 1.0, "other": 2.5}
    store.close()


def test_what_is_made_is_made_once_for_the_same_inputs_and_the_same_end():
    store, calls = Store(), []

    def make():
        calls.append(None)
        return {"made": len(calls)}

    assert store.get_or_make("scores", 1, [2], make=make) == {"made": 1}
    assert store.get_or_make("scores", 1, [2], make=make) == {"made": 1}
    assert store.get_or_make("scores", 1, [3], make=make) == {"made": 2}
    assert store.get_or_make("scores", 1, [2], make=make, suffix=".safetensors") == {"made": 3}
    entry = store.entry("scores", 1, [2])
    assert entry.file == f"scores-{content_key(1, [2])[:20]}.json"
    assert entry.load() == {"made": 1}
