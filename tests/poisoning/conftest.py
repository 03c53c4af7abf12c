"""Every test of poisoning draws from its own stream."""

import pytest

from amulet_core.streams import isolated


@pytest.fixture(autouse=True)
def draws_of_its_own(request):
    with isolated(request.node.name):
        yield
