"""Contests with a recipe, and every test of reconstruction on a stream of its own."""

from dataclasses import replace

import pytest

from amulet_core.configuration.request import Use
from amulet_core.discovery.registry import discover
from amulet_core.planning.jobs import Recipe
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training.values import Streams
from amulet_plugins_builtin.reconstruction import planted


@pytest.fixture(autouse=True)
def draws_of_its_own(request):
    with isolated(request.node.name):
        yield


@pytest.fixture
def use():
    """Return a function that finds a component and checks its parameters."""
    registry = discover(select="")

    def make(kind, name, **params):
        entry = registry.find(kind, name)
        return Use(entry, entry.component.params(**params))

    return make


@pytest.fixture
def trained_by(use):
    """Return a function that makes a contest of the kind batch, whose victim is of a recipe with these defenses."""

    def make(*chain, model="mlp", schema=planted.TABLE, **settings):
        recipe = Recipe(use("model", model), tuple(chain), TrainingSettings(batch_size=4, **settings))
        contest = planted.uniform(planted.Silent(), schema, kind="batch")
        return replace(contest, recipe=recipe, streams=Streams(("train", "a test")))

    return make
