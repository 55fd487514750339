"""Write the tables of docs/peers.md from results/peers.json and results/published.json.

    python benchmarks/peers/tables.py

Only what stands between ``<!-- NAME -->`` and ``<!-- end -->`` is written; the words around it are ours.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
VERSIONS = {
    "crossloss": "crossloss", "torch": "torch.func, no package", "dattri": "dattri 0.3.0", "pydvl": "pyDVL 0.10.0",
    "captum": "captum 0.9.0", "kronfluence": "kronfluence 1.0.1",
}  # fmt: skip


def figures(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["figures"] if path.exists() else {}


def of(problem: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Package, setting and figures of a problem."""
    keys = [key.split("/", 2) for key in figures("peers") if key.startswith(f"{problem}/")]
    order = list(VERSIONS)
    return [
        (p, s, figures("peers")["/".join((problem, p, s))]) for _, p, s in sorted(keys, key=lambda k: order.index(k[1]))
    ]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def short(value: float, digits: int) -> str:
    """Without the zero before the point."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")


def exact(value: float | None) -> str:
    return "-" if value is None else "1.0000" if value > 0.99995 else short(value, 4)


def seconds(f: dict[str, Any]) -> str:
    """Those that its process ran, where they were recorded, with a star; else by the clock."""
    return f"{f['core seconds']:.1f}*" if "core seconds" in f else f"{f['seconds']:.1f}"


def failed(error: str) -> str:
    return error if error.startswith(("not done", "killed")) else f"refused: {error[:110]}"


def by_rows(problem: str) -> str:
    rows = []
    for package, setting, f in of(problem):
        if "error" in f:
            rows.append([VERSIONS[package], setting, "-", "-", "-", "-", "-", failed(f["error"])])
            continue
        wrong = [f"{f[name]} {name}" for name in ("nan", "zero rows") if f[name]]
        rows.append(
            [
                VERSIONS[package], setting, f"{1e3 * f['seconds']:,.1f}", exact(f["r exact"]), exact(f["worst row"]),
                f"{100 * f['above .8']:.0f}" if problem == "mixture" else short(f["mean r"], 3), str(f["lines"]),
                ", ".join(wrong),
            ]
        )  # fmt: skip
    last = "% above .8 against retraining" if problem == "mixture" else "r with retraining"
    return table(["package", "setting", "ms", "r with exact", "worst row", last, "lines", "wrong"], rows)


def digits() -> str:
    rows = []
    found = sorted(of("digits"), key=lambda row: -row[2].get("LDS", -9))
    for package, setting, f in found:
        if "LDS" not in f:
            why = failed(f["error"]) if "error" in f else "scores are not finite, or 0 for an objective"
            rows.append([VERSIONS[package], setting, why, "-", "-", "-", "-"])
            continue
        interval = f"{short(f['LDS low'], 2)} to {short(f['LDS high'], 2)}"
        each = ", ".join(short(value, 2) for value in f["LDS each"])
        rows.append(
            [VERSIONS[package], setting, f"{short(f['LDS'], 3)} ({interval})", each, seconds(f),
             f"{f['memory']:.1f}", str(f["lines"])]
        )  # fmt: skip
    return table(["package", "setting", "LDS (95 %)", "each objective", "s", "GB", "lines"], rows)


def paired() -> str:
    """Differences of LDS over the same draws of the same subsets."""
    rows = []
    for key, f in figures("peers").items():
        if not key.startswith("paired/"):
            continue
        _, mine, package, setting = key.split("/", 3)
        interval = f"{short(f['low'], 3)} to {short(f['high'], 3)}"
        rows.append([mine, f"{VERSIONS[package]}, {setting}", short(f["difference"], 3), interval])
    return table(["crossloss", "less", "difference of LDS", "95 %"], rows)


def variants() -> str:
    rows = []
    for key, f in figures("peers").items():
        if not key.startswith("variants/"):
            continue
        lds = short(f["LDS"], 3)
        if f["seeds"] > 1:
            lds += f" ({f['seeds']:.0f} seeds: {short(f['least'], 3)} to {short(f['most'], 3)})"
        interval = f"{short(f['low'], 3)} to {short(f['high'], 3)}"
        rows.append([key.removeprefix("variants/"), lds, short(f["difference"], 3), interval])
    return table(["EK-FAC", "LDS", "less that of the labels' expectation at .001", "95 %"], rows)


def published() -> str:
    f = figures("published")
    if not f:
        return ""
    tests = ("paper-career", "paper-math", "paper-art", "paper-race")
    rows = []
    for name in ("published", "unrolled"):
        rows.append(
            [name]
            + [
                f"{short(f[f'{t}.{name}.pearson'], 2)} ({short(f[f'{t}.{name}.pearson_low'], 2)} to "
                f"{short(f[f'{t}.{name}.pearson_high'], 2)})"
                for t in tests
            ]
        )
    fidelity = table(["scores", *[t.removeprefix("paper-") for t in tests]], rows)
    share = [f"{100 * f[f'{t}.share scored']:.1f}" for t in tests]
    sizes = sorted({key.split(".")[0] for key in f if re.match(r"v\d+-d", key)}, key=len)
    passes = table(
        ["vocabulary", "s a backward pass", "s a Hessian product", "s a scored sentence, objective", "h an objective"],
        [
            [size.replace("v", "V ").replace("-d", ", d "), *(f"{f[f'{size}.{name}']:.4f}" for name in (
                "seconds a backward pass", "seconds a Hessian product", "seconds a scored sentence and objective")),
             f"{f[f'{size}.hours an objective']:.2f}"]
            for size in sizes
        ],
    )  # fmt: skip
    return f"{fidelity}\n\nSentences scored: {', '.join(share)} % (career, math, art, race); ours: all.\n\n{passes}"


def main() -> None:
    page = ROOT / "docs" / "peers.md"
    text = page.read_text()
    made = {
        "mixture": by_rows("mixture"),
        "digits": digits(),
        "paired": paired(),
        "variants": variants(),
        "words": by_rows("words"),
        "published": published(),
    }
    for name, content in made.items():
        block = f"<!-- {name} -->\n{content}\n<!-- end -->"
        text = re.sub(rf"<!-- {name} -->.*?<!-- end -->", lambda _, block=block: block, text, flags=re.S)
    page.write_text(text)


if __name__ == "__main__":
    main()
