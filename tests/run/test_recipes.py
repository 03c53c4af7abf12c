"""From a recipe to models: each is trained on rows, validated on rows, and drawn from streams of its own."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from amulet_core.configuration.request import Use
from amulet_core.data import Data
from amulet_core.discovery.registry import Registry
from amulet_core.performing.recipes import fit_recipe
from amulet_core.planning.jobs import Recipe
from amulet_core.settings import TrainingSettings
from amulet_core.training.values import Fitted, Streams


def component(registry: Registry, kind: Any, name: str) -> Use:
    entry = registry.find(kind, name)
    return Use(entry, entry.component.params())


def weights(one: Fitted) -> Tensor:
    return torch.cat([value.flatten() for value in one.model.state_dict().values()])


def test_each_model_of_a_group_stops_by_validation_rows_of_its_own(registry: Registry) -> None:
    """Three models, of which the first and the last are of one size and so are trained together."""
    source = component(registry, "dataset", "blobs")
    blobs: Data = source.entry.load()(source.params)
    rows = [blobs.take(torch.arange(start, start + size)) for start, size in ((0, 40), (40, 50), (90, 40))]
    val = [blobs.take(torch.arange(start, start + 30)) for start in (200, 230, 260)]
    val[0] = replace(val[0], y=1 - val[0].y)  # on these rows training only makes it worse
    settings = TrainingSettings(epochs=6, batch_size=16, patience=1)
    recipe = Recipe(component(registry, "model", "toy/linear"), (), settings)
    streams = [Streams(("a test", index)) for index in range(3)]
    together = fit_recipe(recipe, rows, val, streams)
    for index in range(3):
        (alone,) = fit_recipe(recipe, rows[index:][:1], val[index:][:1], streams[index:][:1])
        torch.testing.assert_close(weights(together[index]), weights(alone), rtol=1e-4, atol=1e-6)
    (others,) = fit_recipe(recipe, rows[2:], val[:1], streams[2:])
    assert (weights(others) - weights(together[2])).abs().max() > 0.01
