import pytest
from amulet_core.testing import plugin_checks


@pytest.mark.parametrize("check", plugin_checks("art"), ids=str)
def test_conformance(check):
    check.run()
