"""What all tests share: no plugin of the developer's machine is loaded, packages for one test, and a browser."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Literal, NoReturn

import importlib_metadata
import pytest

from amulet_core.discovery.registry import Registry, discover

ATTACK = """
from amulet_core.components import Attack
from amulet_core.hooks import hookimpl

def attack(name, **more):
    fields = {"summary": "An attack made for a test", "target": "math:sqrt", "risk": "evasion", "access": "labels"}
    return Attack(name=name, **fields | more)
"""

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


@dataclass(frozen=True)
class Packages:
    """Packages in a folder on the import path, each with a module and with the metadata of an installed one."""

    folder: Path

    def add(
        self,
        plugin: str,
        body: str,
        *,
        distribution: str | None = None,
        version: str = "1.0",
        group: str = "amulet.v1",
        module: str | None = None,
    ) -> str:
        """Install a package whose module holds ``body`` (after the imports of ATTACK); return the module's name."""
        distribution = distribution or f"amulet-plugin-{plugin}"
        module = module or f"made_{distribution}_{plugin}".replace("-", "_").replace("!", "_")
        (self.folder / f"{module}.py").write_text(ATTACK + dedent(body))
        metadata = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{plugin} = {module}\n")
        return module

    def entry_points(self) -> list[importlib_metadata.EntryPoint]:
        """Return the entry points of these packages, and of no other on this machine."""
        found = importlib_metadata.distributions(path=[str(self.folder)])
        return [point for distribution in found for point in distribution.entry_points]

    def discover(self, **options: object) -> Registry:
        """Discover the plugins of these packages only; all of them unless ``select`` says otherwise."""
        return discover(entry_points=self.entry_points(), **options)


@pytest.fixture(scope="session")
def lacking() -> Callable[[Literal["browser", "data"], str], NoReturn]:
    """Skip a test that lacks a browser or data, for a reason; fail it where AMULET_REQUIRE has that word (or is 1)."""

    def lack(what: Literal["browser", "data"], reason: str) -> NoReturn:
        if {what, "1"} & set(os.environ.get("AMULET_REQUIRE", "").split(",")):
            pytest.fail(reason)
        pytest.skip(reason)

    return lack


@pytest.fixture(autouse=True)
def only_builtin_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave every plugin of the developer's machine but the built-in one disabled."""
    monkeypatch.setenv("AMULET_PLUGINS", "")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own, empty at first; return its folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("AMULET_CACHE", str(folder))
    return folder


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    """Give an empty folder of packages on the import path, with AMULET_PLUGINS unset."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("AMULET_PLUGINS")
    before = set(sys.modules)
    yield Packages(folder)
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def healthy(packages: Packages) -> Callable[[Registry], None]:
    """Install a healthy plugin; return a check that a registry still offers it whole and warns of nothing of it."""
    body = """
    @hookimpl
    def amulet_components():
        yield attack("nudge")
    """
    packages.add("healthy", body)

    def check(registry: Registry) -> None:
        assert registry.find("attack", "healthy/nudge").distribution == "amulet-plugin-healthy"
        assert not any("healthy" in warning for warning in registry.warnings)

    return check


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
