"""Every test draws from its own stream; no plugin but the built-in one and this one is loaded."""

import pytest
from amulet_core.streams import isolated


@pytest.fixture(autouse=True)
def draws_of_its_own(request):
    with isolated(request.node.name):
        yield


@pytest.fixture(autouse=True)
def only_this_plugin(monkeypatch):
    monkeypatch.setenv("AMULET_PLUGINS", "art")
