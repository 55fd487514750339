"""One explorer for the tests of this folder that change nothing in its run."""

import pytest
from explored import explored, make_run


@pytest.fixture(scope="session")
def explorer(tmp_path_factory):
    with explored(make_run(tmp_path_factory.mktemp("explore") / "run", subsets=3)) as opened:
        yield opened
