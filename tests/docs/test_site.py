"""The site builds strictly, leads nowhere but to what there is, and needs nothing from a network."""

import os
import posixpath
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mkdocs_hooks
import pytest
from fenced import ROOT
from filelock import FileLock

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
"""Elements that load what their attribute names; links do by their relation."""
STYLES = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload", "manifest"}


@dataclass
class Seen(HTMLParser):
    """What a page links to, what it loads, and which anchors it has."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and STYLES & set(given.get("rel", "").split()):
            self.loads.append(given["href"])
        if LOADED.get(tag) in given:
            self.loads.append(given[LOADED[tag]])
        if "srcset" in given:
            self.loads += [one.split()[0] for one in given["srcset"].split(",")]


def built(folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1", "AMULET_PLUGINS": ""}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
    # With --quiet, warnings would not be counted, and a strict build would pass them.
    assert "WARNING" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Build the site once, for all processes that test it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with FileLock(shared / "site.lock"):
        if not (shared / "site").exists():
            built(shared / "site")
    return shared / "site"


@pytest.fixture(scope="session")
def seen(site):
    """Give what each page of the site has, by its path."""
    found = {}
    for path in sorted(site.rglob("*.html")):
        page = Seen()
        page.feed(path.read_text(encoding="utf-8"))
        found[path.relative_to(site).as_posix()] = page
    return found


def test_the_site_has_a_page_for_every_document_and_every_page_of_the_reference(seen):
    documents = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")
    }
    reference = {str(Path(page.path).with_suffix(".html")) for page in mkdocs_hooks._pages()}
    assert documents | reference <= set(seen)
    assert len(reference) > 100


def test_every_link_and_every_anchor_leads_to_something(site, seen):
    lost = [
        f"{page}: {link}"
        for page, content in seen.items()
        if page != "404.html"  # served for any path, it has links from the root
        for link in content.links
        if not leads(site, seen, page, link)
    ]
    assert lost == []


def leads(site, seen, page, link):
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme in ("https", "mailto")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path))) if parts.path else page
    if (site / target).is_dir():
        target = posixpath.join(target, "index.html")
    anchors = seen[target].anchors if target in seen else set()
    return (site / target).is_file() and (not parts.fragment or unquote(parts.fragment) in anchors)


def test_no_page_loads_anything_from_elsewhere(site, seen):
    elsewhere = {
        load for content in seen.values() for load in content.loads if urlsplit(load).scheme not in ("", "data")
    }
    assert elsewhere == set()
    assert {load for content in seen.values() for load in content.loads if load.startswith("//")} == set()
    assert any("iframe-worker.js" in load for load in seen["index.html"].loads)


def test_no_style_sheet_loads_anything_from_elsewhere(site):
    sheets = [*site.rglob("*.css"), *site.rglob("*.svg")]
    addresses = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+")
    assert sheets
    assert {
        path.name: addresses.findall(path.read_text(encoding="utf-8"))
        for path in sheets
        if addresses.search(path.read_text())
    } == {}


def test_no_fence_and_no_mark_is_left_in_the_text_of_a_page(site):
    raw = re.compile(r"^\s*(?:<p>)?(?:```|:::|\|\s*-{3})|<!-- matrix of the", re.MULTILINE)
    pages = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert {name for name, text in pages.items() if raw.search(text)} == set()


@pytest.mark.parametrize("name", ["index.html", "reference/api/training.values.html"])
def test_a_page_opened_from_the_disk_asks_for_nothing_elsewhere_and_complains_of_nothing(opened, site, name):
    page, requests, complaints = opened((site / name).as_uri())
    page.wait_for_load_state("networkidle")
    assert [url for url in requests if not url.startswith((site.as_uri(), "data:", "blob:"))] == []
    assert complaints == []


def test_the_search_works_in_pages_opened_from_the_disk(opened, site):
    page, _, complaints = opened((site / "index.html").as_uri(), viewport={"width": 1280, "height": 900})
    page.locator(".md-search__input").click()
    page.get_by_text("Type to start searching").wait_for(timeout=10_000)
    page.keyboard.type("knockoff")
    page.locator(".md-search-result a", has_text="model-extraction").first.wait_for(timeout=10_000)
    assert complaints == []


def test_no_page_is_wider_than_a_small_window(opened, site):
    for name in ("index.html", "reference/games/evasion.html", "reference/api/training.values.html"):
        page, _, _ = opened((site / name).as_uri(), viewport={"width": 400, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, name
