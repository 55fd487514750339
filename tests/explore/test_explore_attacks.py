"""Every row of the table in docs/howto/explore.md is tried, and comes back as it says."""

import re
import time
from collections import Counter
from pathlib import Path

import pytest
from attacks import ATTACKS, BODIES
from explored import MINE, NEAR, explored, make_run

import crossloss as cl
from dense import random_sentences

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs/howto/explore.md"
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    home = tmp_path_factory.mktemp("attacked")
    lines = random_sentences(3, sentences=60)
    (home / "c.tsv").write_text(
        "text\tdocument\n" + "".join(f"{t}\t{'one' if i % 2 else 'two'}\n" for i, t in enumerate(lines))
    )
    run = make_run(home / "run", cl.read(home / "c.tsv"))
    with explored(run) as own:
        own.home = home
        yield own
    with cl.load(run) as opened:
        assert list(cl.score(opened, [MINE, NEAR]).names) == ["mine", "near"]


def strings(value):
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("tried", ATTACKS)
def test_an_attack_comes_back_as_the_table_says(attacked, tried):
    act, allowed, told = ATTACKS[tried]
    outside = sorted(attacked.home.iterdir())
    seen = Counter()
    for came in act(attacked):
        assert came.status in allowed, came
        seen[came.status] += 1
        if came.status != 200:
            assert list(came.answer) == ["error"], came
            assert len(came.answer["error"]) <= 400, came
        for text in strings(came.answer):
            assert not HIDDEN.search(text), came
            assert not any(secret in text for secret in ("Traceback", "root:", "site-packages")), came
    assert sorted(attacked.home.iterdir()) == outside
    plans = {p.name for p in attacked.folder.glob("plan-*")}
    assert all(re.fullmatch(r"plan-basket-[a-z0-9][a-z0-9-]*\.parquet", name) for name in plans)
    assert attacked.ask("/api/run")[0] == 200
    assert f"| {tried} | {seen.total():,} | {told} |\n" in PAGE.read_text()


def test_every_question_and_every_field_is_attacked(attacked):
    for route, body in BODIES:
        assert attacked.ask("/api/job/cancel", {})[0] == 200
        status, answer = attacked.ask(route, body)
        assert status == 200, (route, answer)
        while (attacked.ask("/api/job")[1] or {}).get("state") == "running":
            time.sleep(0.002)
    asked = {}
    for route, body in BODIES:
        asked.setdefault(route, set()).update(body)
    for route in attacked.routes:
        for given in route.dependant.body_params:
            model = given.field_info.annotation
            assert asked[route.path] == set(model.model_fields), route.path
            if "filter" in model.model_fields:
                inner = model.model_fields["filter"].annotation
                assert set(inner.model_fields) == set(next(b for r, b in BODIES if r == route.path)["filter"])


def test_the_table_has_no_other_rows():
    rows = re.findall(r"^\| (.*?) \| [\d,]+ \| .*[245]\d\d", PAGE.read_text(), re.M)
    assert rows == list(ATTACKS)
