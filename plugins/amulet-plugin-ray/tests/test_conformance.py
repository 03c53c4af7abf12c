import pytest
from amulet_core.testing import plugin_checks


@pytest.mark.parametrize("check", plugin_checks("ray"), ids=str)
def test_conformance(check):
    check.run()
