"""What is in the built wheel and sdist, and that the package imported here is the installed one: ``make wheel``."""

import sys
import tarfile
import zipfile
from pathlib import Path

import crossloss

SOURCE = Path(__file__).parents[1] / "src"


def main(dist: Path) -> None:
    ((wheel,), (sdist,)) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    ours = {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    ours = {name for name in ours if name.startswith("crossloss/")}
    names = set(zipfile.ZipFile(wheel).namelist())
    packed = {name for name in names if name.startswith("crossloss/")}
    assert packed == ours, f"missing {sorted(ours - packed)}, too many {sorted(packed - ours)}"
    others = {name.split("/")[0] for name in names - packed}
    assert others == {f"crossloss-{crossloss.__version__}.dist-info"}, others
    with tarfile.open(sdist) as archive:
        within = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in ours} <= within
    assert {"README.md", "LICENSE", "tests/dense.py", "pyproject.toml"} <= within
    installed = Path(crossloss.__file__)
    assert SOURCE not in installed.parents, f"{installed} is the checkout, not the wheel"
    assert crossloss.objectives.weat("weat7").words, "the word lists are read from the wheel"
    print(f"{wheel.name}: {len(packed)} files, {wheel.stat().st_size:,} bytes; {sdist.name}: {sdist.stat().st_size:,}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
