"""Reweighing: weights under which the label is independent of the group. Rows, labels and groups stay as they are."""

from dataclasses import replace

import torch

from amulet_core.data import Data
from amulet_plugins_builtin.catalogue.fairness import ReweighingParams
from amulet_plugins_builtin.fairness.attributes import attribute_column


def reweigh(data: Data, params: ReweighingParams) -> Data:
    """Return the rows with weights ``w * P(s) P(y) / P(s, y)``, scaled so that their sum is what it was.

    The probabilities are those under the weights ``w`` that the rows already carry (all 1: the row counts). Any number
    of groups and classes; a pair (s, y) without rows has no rows to weigh, and parity is then as close as can be.
    Kamiran & Calders 2012 (doi:10.1007/s10115-011-0463-8), algorithm 1.

    Raises:
        ValueError: if there is no such attribute, or all weights are 0.
    """
    column = attribute_column(params.attribute, data.schema)
    shape = len(data.schema.sensitive[column].categories), len(data.schema.classes)
    cell = data.z[:, column] * shape[1] + data.y
    given = data.w.double()
    if given.sum() == 0:
        raise ValueError("reweighing: the weights of all rows are 0; give some row a weight")
    joint = torch.bincount(cell, weights=given, minlength=shape[0] * shape[1]).reshape(shape) / given.sum()
    expected = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    # A cell of no weight stays so: its rows count for nothing, whatever they are multiplied with.
    ratio = torch.where(joint > 0, expected / joint.where(joint > 0, torch.ones_like(joint)), 0)
    weights = given * ratio.flatten()[cell]
    return replace(data, w=(weights * (given.sum() / weights.sum())).float())
