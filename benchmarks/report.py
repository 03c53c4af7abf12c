"""The size of the report, and how long it takes to write and to open, by the number of cells.

Run it as ``python benchmarks/report.py``; results are made up as in the report's tests. Without Chromium on the PATH
the last two columns stay empty.
"""

import argparse
import contextlib
import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from amulet_core.report.page import render

EXAMPLES = Path(__file__).parents[1] / "tests" / "report" / "examples.py"
SHAPES = ((6, 4), (18, 5), (182, 5), (200, 8))
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

Opened = Callable[[Path], tuple[float, int]]


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each shape of the matrix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", help="measure these numbers of rows, with 5 columns each")
    given = parser.parse_args(argv).rows
    examples = loaded()
    print("rows  columns   cells      MB  render s  load s  elements")
    with tempfile.TemporaryDirectory() as folder, browser() as opened:
        for rows, columns in [(each, 5) for each in given] if given else SHAPES:
            results = examples.example_results(risks=columns, defenses=rows - 3)
            start = time.perf_counter()
            html = render(results)
            seconds = time.perf_counter() - start
            path = Path(folder) / "report.html"
            path.write_text(html, encoding="utf-8")
            shown = "       -         -" if opened is None else "{:8.2f}  {:8,}".format(*opened(path))
            size = path.stat().st_size / 1e6
            print(f"{rows:4}  {columns:7}  {len(results.cells):6,}  {size:6.2f}  {seconds:8.2f}{shown}", flush=True)


def loaded() -> ModuleType:
    """Return the module that makes up the results."""
    spec = importlib.util.spec_from_file_location("report_examples", EXAMPLES)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(EXAMPLES)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def browser() -> Iterator[Opened | None]:
    """Give a function that opens a page and returns the seconds until it was painted and its number of elements."""
    program = shutil.which("chromium")
    if program is None or importlib.util.find_spec("playwright") is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])

        def opened(path: Path) -> tuple[float, int]:
            page = found.new_page(viewport={"width": 1280, "height": 800})
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.evaluate(PAINTED)
            seconds = time.perf_counter() - start
            elements = page.evaluate("document.getElementsByTagName('*').length")
            page.close()
            return seconds, elements

        yield opened
        found.close()


if __name__ == "__main__":
    main()
