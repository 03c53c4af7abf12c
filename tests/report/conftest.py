"""What the tests of the report share: examples, whose module is no test and is found by its path, and a browser."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

BROWSER = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """Give the module ``examples`` beside this file."""
    spec = importlib.util.spec_from_file_location("report_examples", Path(__file__).with_name("examples.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def results(examples: ModuleType):
    """Give the example of 6 rows and 4 columns, with failed and skipped cells and hostile texts."""
    return examples.example_results()


@pytest.fixture(scope="session")
def long_results(examples: ModuleType):
    """Give the example of 40 rows and 4 columns: to be searched, and too many to show each in full."""
    return examples.example_results(defenses=37)


@pytest.fixture(scope="session")
def browser(lacking):
    """Give a headless Chromium; without one the tests are skipped, or fail where AMULET_REQUIRE demands it."""
    if BROWSER is None:
        lacking("browser", "Chromium is not installed (no `chromium` on the PATH): the page was not tried in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def opened(browser):
    """Give a function that opens an address in a fresh offline context; what it asked for and complained of is kept."""
    contexts = []

    def open_page(address, **options):
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        requests, complaints = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page, requests, complaints

    yield open_page
    for context in contexts:
        context.close()
