"""Every example that ``amulet new`` writes keeps the rules, and has the power that its kind must have."""

import pytest

from amulet_core.scaffold.examples import KINDS, risks_of
from amulet_core.testing import plugin_checks, shipped_checks

EXAMPLES = [(kind, risk) for kind in KINDS for risk in risks_of(kind) or (None,)]


@pytest.mark.parametrize(("kind", "risk"), EXAMPLES)
def test_every_example_passes_the_conformance_kit_and_its_own_checks(write, kind, risk):
    made = write(kind, f"my-{kind}", risk)
    for check in (*plugin_checks(made.name, registry=made.registry), *shipped_checks(made.entry)):
        check.run()
