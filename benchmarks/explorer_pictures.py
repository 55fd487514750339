"""The pictures of the explorer in these pages: python benchmarks/explorer_pictures.py RUN, of a run scored for weat7.

Needs Chromium. Retrains three times; made with a run of wikipedia-20k and `crossloss validate RUN --subsets 20`.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
for tests in ("tests", "tests/explore"):
    sys.path.insert(0, str(ROOT / tests))

from explored import explored  # noqa: E402

from driver import opened  # noqa: E402

SENTENCE = "My sister wrote a novel, and her brother studied geometry."
LARGEST = 200_000


def main() -> None:
    with explored(Path(sys.argv[1])) as e, opened(tempfile.mkdtemp()) as page:
        for n in (10, 20, 40):
            e.work("/api/strongest/retrain", {"objective": "weat7", "n": n})
        samples = e.ask("/api/strongest", {"objective": "weat7", "n": 5})[1]["samples"]
        e.work("/api/basket/retrain", {"changes": [{"weight": 0, "samples": samples}]})
        steps, before = [], 0
        for sample in sorted(samples):
            steps.append(base36(sample - before))
            before = sample
        basket = f"basket=0*{'.'.join(steps)}"
        asked = "asked=" + SENTENCE.replace(" ", "+")
        for name, width, height, fragment, at in (
            ("explorer", 1280, 1420, f"#objective=weat7&n=20&{asked}&{basket}", "header"),
            ("explorer-basket", 1280, 1000, f"#objective=weat7&{basket}&look=sister&other=paper-math", "#sentences"),
            ("explorer-phone", 390, 844, f"#objective=weat7&n=20&{basket}", "#leave"),
        ):
            page.dark(False)
            page.go("about:blank")
            page.go(e.address + fragment, width, height)
            page.until("document.querySelectorAll('#rows > li.row').length > 3 && document.querySelector('#chart svg')")
            page.until("document.querySelector('#leave-totals table')")
            page.until("document.querySelector('.tab').innerText.includes(', p ')")
            if "basket" in fragment:
                page.until("document.querySelector('#basket-totals').innerText.includes('retrained')")
            page.js(f"document.querySelector('{at}').scrollIntoView()")
            file = DOCS / f"{name}.png"
            page.picture(file)
            Image.open(file).convert("RGB").quantize(200, dither=Image.Dither.NONE).save(file, optimize=True)
            print(f"{file}: {file.stat().st_size:,} bytes")
            assert file.stat().st_size < LARGEST


def base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return digits[number] if number < 36 else base36(number // 36) + digits[number % 36]


if __name__ == "__main__":
    main()
