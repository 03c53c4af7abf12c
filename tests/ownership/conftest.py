"""Rows for the tests of ownership."""

import sys
from pathlib import Path

import pytest
import torch

from amulet_core.data import make_data
from amulet_core.schema import DataSchema, Feasible

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def rows():
    """Return a function that makes so many rows of two features in three classes, which a line tells apart."""

    def make(count, seed=0):
        draws = torch.Generator().manual_seed(seed)
        x = torch.rand(count, 2, generator=draws)
        schema = DataSchema(
            modality="tabular", shape=(2,), classes=("a", "b", "c"), feasible=Feasible(low=0.0, high=1.0)
        )
        return make_data(x, (3 * x[:, 0]).long().clamp(max=2), schema)

    return make
