"""Output rounding: rounded probabilities that are still probabilities, and the same class."""

import pytest
import torch

from amulet_plugins_builtin.catalogue.ownership_defenses import OutputRoundingParams
from amulet_plugins_builtin.ownership.output_rounding import rounded

ROWS = {
    "plain": (1, [0.34, 0.31, 0.35], [0.3, 0.3, 0.4]),
    "two decimals": (2, [0.344, 0.312, 0.344], [0.34, 0.31, 0.34]),
    "a tie that would change the class": (1, [0.33, 0.34, 0.33], [0.3, 0.4, 0.3]),
    "a tie that would not": (1, [0.34, 0.33, 0.33], [0.3, 0.3, 0.3]),
    "a tie that was there before": (1, [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]),
    "certain": (1, [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]),
    "nearly certain": (1, [0.04, 0.96, 0.0], [0.0, 1.0, 0.0]),
    "more than one in all": (1, [0.86, 0.06, 0.08], [0.9, 0.1, 0.1]),
}


@pytest.mark.parametrize(("decimals", "given", "units"), ROWS.values(), ids=ROWS)
def test_probabilities_are_rounded_and_sum_to_one(decimals, given, units):
    expected = torch.tensor([units]) / sum(units)
    assert torch.allclose(rounded(torch.tensor([given]), OutputRoundingParams(decimals=decimals)), expected, atol=1e-6)


@pytest.mark.parametrize("top", [0, 29])
def test_a_row_that_rounds_to_nothing_leaves_its_class(top):
    given = torch.full((1, 30), 1 / 30)
    given[0, top] += 0.001
    found = rounded(given / given.sum(), OutputRoundingParams(decimals=1))
    assert torch.equal(found[0], torch.nn.functional.one_hot(torch.tensor(top), 30).float())


@pytest.mark.parametrize("decimals", [1, 2, 6])
def test_every_row_stays_a_distribution_with_its_class(decimals):
    given = torch.softmax(torch.randn(2000, 12, generator=torch.Generator().manual_seed(0)), 1)
    before = given.clone()
    found = rounded(given, OutputRoundingParams(decimals=decimals))
    assert torch.equal(given, before)
    assert torch.equal(found.argmax(1), given.argmax(1))
    assert torch.allclose(found.sum(1), torch.ones(2000))
