"""The documents of the project, for the tests that compare them with the code."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from fenced import ROOT, Document, documents  # found through the line above


@pytest.fixture(scope="session")
def readme():
    return Document(ROOT / "README.md")


@pytest.fixture(scope="session")
def architecture():
    return Document(ROOT / "docs" / "architecture.md")


@pytest.fixture(scope="session")
def contributing():
    return Document(ROOT / "CONTRIBUTING.md")


@pytest.fixture(scope="session")
def page():
    """Give the document of a name: ``concepts/games``."""
    return lambda name: Document(ROOT / "docs" / f"{name}.md")


@pytest.fixture(params=documents(), ids=lambda document: document.name)
def document(request):
    return request.param
