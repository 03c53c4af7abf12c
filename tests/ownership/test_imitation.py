"""Training on soft targets: the minimum it reaches, and what it leaves alone."""

import pytest
import torch
from torch import nn

from amulet_core.settings import TrainingSettings
from amulet_core.training.imitation import imitated

SETTINGS = TrainingSettings(epochs=300, batch_size=64, learning_rate=0.05, schedule="cosine")


def linear():
    return nn.Linear(2, 3)


def test_a_linear_model_imitates_another_of_its_kind_from_its_probabilities(rows):
    data = rows(200)
    torch.manual_seed(1)
    victim = linear()
    told = torch.softmax(victim(data.x), 1).detach()
    thief = imitated(linear, data.x, told, SETTINGS, schema=data.schema, key=("test",))
    found = torch.softmax(thief(data.x), 1)
    assert float((found - told).abs().max().detach()) < 0.01


def test_targets_stay_with_their_rows_whatever_the_order_of_batches(rows):
    """Targets that no function of a row's label could give: they follow the second feature, labels the first."""
    data = rows(200)
    told = torch.stack([data.x[:, 1], 1 - data.x[:, 1], torch.zeros(200)], 1)
    thief = imitated(linear, data.x, told, SETTINGS, schema=data.schema, key=("test",))
    found = torch.softmax(thief(data.x), 1)
    assert float((found - told).abs().mean().detach()) < 0.05


def test_the_same_key_gives_the_same_bits_and_another_key_others(rows):
    data = rows(60)
    told = torch.eye(3)[data.y]
    one, same, other = (
        imitated(linear, data.x, told, SETTINGS.model_copy(update={"epochs": 2}), schema=data.schema, key=(key,)).weight
        for key in ("a", "a", "b")
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_early_stopping_of_the_victim_s_settings_plays_no_part(rows):
    data = rows(60)
    told = torch.eye(3)[data.y]
    settings = TrainingSettings(epochs=5, learning_rate=0.05)
    patient = settings.model_copy(update={"patience": 1})
    one, other = (
        imitated(linear, data.x, told, given, schema=data.schema, key=("test",)).weight for given in (settings, patient)
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("count", "targets", "message"),
    [
        (0, torch.zeros(0, 3), "^0 rows and 0 targets: one finite target a row is needed, for some rows$"),
        (4, torch.zeros(3, 3), "^4 rows and 3 targets: one finite target a row is needed, for some rows$"),
        (2, torch.full((2, 3), float("inf")), "^2 rows and 2 targets: one finite target a row is needed"),
    ],
)
def test_rows_without_a_target_are_refused(rows, count, targets, message):
    data = rows(5)
    with pytest.raises(ValueError, match=message):
        imitated(linear, data.x[:count], targets, SETTINGS, schema=data.schema, key=("test",))
