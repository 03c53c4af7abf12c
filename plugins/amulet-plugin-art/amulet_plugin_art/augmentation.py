"""Noisy copies of training rows, by the toolbox's Gaussian augmentation."""

from dataclasses import replace

import numpy as np
import torch
from amulet_core.data import Data
from amulet_core.feasible import project
from art.defences.preprocessor import GaussianAugmentation

from amulet_plugin_art.asked import units_of
from amulet_plugin_art.defense_settings import GaussianAugmentationParams


def augment(data: Data, params: GaussianAugmentationParams) -> Data:
    """Return the rows and, after them, noisy copies of some, drawn with replacement; copies keep label, group, weight.

    The noise is a fraction of each feature's range. Copies are possible inputs: whole numbers stay whole, one category
    of a group is chosen (maybe another than the row's), and what is immutable stays as it is (Zantedeschi et al.,
    arXiv:1707.06728, section 4.2).
    """
    units = units_of(data.schema, "linf")
    defense = GaussianAugmentation(sigma=params.scale, ratio=params.ratio, clip_values=(0.0, 1.0))
    # Places in the labels' place: the toolbox says of each copy what it is a copy of.
    mixed, places = defense(units.of(data.x), np.arange(len(data)))
    of = torch.from_numpy(places[len(data) :])
    added = data.take(of)
    x = project(units.rows(mixed[len(data) :]), added.x, data.schema, norm="linf", epsilon=1.0)
    first = min(0, int(data.id.min())) - 1
    return replace(
        data,
        x=torch.cat([data.x, x]),
        y=torch.cat([data.y, added.y]),
        z=torch.cat([data.z, added.z]),
        w=torch.cat([data.w, added.w]),
        id=torch.cat([data.id, first - torch.arange(len(of))]),
    )
