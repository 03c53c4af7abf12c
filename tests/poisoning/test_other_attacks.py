"""Blended injection and label flips."""

from functools import partial

import pytest
import torch

from amulet_plugins_builtin.catalogue.poisoning import COMPONENTS, BlendedParams, LabelFlipParams
from amulet_plugins_builtin.poisoning import blended, label_flip, planted

(FLIP,) = [component for component in COMPONENTS if component.name == "label-flip"]
(BLENDED,) = [component for component in COMPONENTS if component.name == "blended"]


def test_the_pattern_differs_between_seeds_and_stays_within_the_bounds():
    rows = planted.images(rows=50, seed=1)
    view = planted.view_of(rows, rows, budget=10)
    one, other = (blended.attack(view, BlendedParams(blend=1.0)) for _ in range(2))
    assert torch.equal(one.x, one.x[:1].expand_as(one.x))
    assert not torch.equal(one.x[0], other.x[0])
    assert 0 <= one.x.min() < 2
    assert 14 < one.x.max() <= 16


def test_blending_is_for_images_only():
    assert BLENDED.modality == ("image",)


@pytest.mark.parametrize(
    ("params", "reasons"),
    [
        ({}, []),
        ({"mode": "random"}, []),
        ({"source": "glaring"}, []),
        ({"source": "gloomy"}, ['the data set has no class "gloomy"; it has dark, bright, glaring']),
        (
            {"mode": "random", "source": "dark"},
            ["random flips have no source class: leave source out, or set mode to targeted"],
        ),
    ],
)
def test_a_source_that_makes_no_sense_is_refused_before_a_run(params, reasons):
    assert FLIP.applicable(LabelFlipParams(**params), planted.IMAGES) == reasons


def test_a_source_that_is_the_target_is_an_error_that_says_what_to_change():
    rows = planted.images(rows=30, seed=1, levels=3)
    with pytest.raises(ValueError, match="source") as error:
        label_flip.attack(planted.view_of(rows, rows, budget=3, target=2), LabelFlipParams(source="glaring"))
    assert str(error.value) == (
        'label-flip: the source class "glaring" is the target of the threat model; name another source, or another '
        "target (risks.poisoning.threat.target)"
    )


@pytest.mark.parametrize("params", [LabelFlipParams(), LabelFlipParams(mode="random")])
def test_flips_have_no_trigger_and_change_no_input(params):
    rows = planted.images(rows=90, seed=1, levels=3)
    answer = label_flip.attack(planted.view_of(rows, rows, budget=20, target=1), params)
    assert not answer.has_trigger
    assert answer.targeted == (params.mode == "targeted")
    assert torch.equal(answer.x, rows.x[answer.rows])
    assert (answer.y != rows.y[answer.rows]).all()
    assert answer.source is None


def test_flips_of_one_class_say_which():
    rows = planted.images(rows=90, seed=1, levels=3)
    answer = label_flip.attack(planted.view_of(rows, rows, budget=20, target=1), LabelFlipParams(source="glaring"))
    assert answer.source == 2


def test_of_fewer_rows_of_the_source_than_the_budget_all_are_flipped():
    rows = planted.images(rows=30, seed=1, levels=3)
    game = planted.poisoned(
        partial(label_flip.attack, params=LabelFlipParams(source="dark")), rows, rows, budget=20, target=1
    )
    assert torch.equal(game.bad, rows.y == 0)
