"""Rows, facts and threat models for the tests of distribution inference."""

import pytest
import torch

from amulet_core.data import make_data
from amulet_core.planning.facts import DataFacts, facts_of
from amulet_core.schema import DataSchema, Feasible, Sensitive

SCHEMA = DataSchema(
    modality="tabular",
    shape=(2,),
    classes=("a", "b", "c"),
    sensitive=(Sensitive(name="town", categories=("x", "y")), Sensitive(name="sex", categories=("f", "m", "n"))),
    feasible=Feasible(low=0.0, high=1.0),
)


@pytest.fixture(scope="session")
def rows():
    """Return 6,000 rows in three classes with two sensitive attributes, which go with the class."""
    draws = torch.Generator().manual_seed(0)
    y = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 6000, replacement=True, generator=draws)
    town = (torch.rand(6000, generator=draws) < 0.4).long()
    sex = torch.multinomial(torch.tensor([[0.3, 0.6, 0.1], [0.5, 0.3, 0.2], [0.2, 0.6, 0.2]])[y], 1, generator=draws)
    x = torch.rand(6000, 2, generator=draws)
    return make_data(x, y, SCHEMA, z=torch.cat([town[:, None], sex], 1), ids=10**12 + 7 * torch.arange(6000))


@pytest.fixture(scope="session")
def facts(rows) -> DataFacts:
    """Return what a plan knows of these rows."""
    return facts_of(rows)
