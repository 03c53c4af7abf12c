"""The adversary's own rows: a random part of aux, and the shadow models' answers are those to the same rows."""

import torch
from torch import nn

from amulet_core.data import make_data
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.membership import view
from amulet_core.games.threats import MembershipThreat
from amulet_core.schema import DataSchema, Feasible

SCHEMA = DataSchema(modality="tabular", shape=(2,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0))


def rows(n):
    """Rows sorted by class, whose first feature tells them apart."""
    return make_data(
        torch.stack([torch.linspace(0, 1, n), torch.zeros(n)], 1), (torch.arange(n) >= n // 2).long(), SCHEMA
    )


def seen():
    model, aux = nn.Identity(), rows(100)
    bank = Bank(torch.zeros(2, 10, 2), torch.zeros(2, 10).bool(), torch.stack([aux.x, 2 * aux.x]), adaptive=True)
    member = torch.arange(10) < 5
    contest = Contest(model, model, rows(10), member, rows(10), aux, bank, ("draws", 0, 0))
    return view(contest, MembershipThreat(population=40), "probabilities")


def test_a_part_of_rows_that_are_sorted_by_class_holds_every_class():
    found = seen()
    assert len(found.population_y) == 40
    assert 8 <= int(found.population_y.sum()) <= 32


def test_the_victim_and_the_shadow_models_answer_about_the_same_rows():
    found = seen()
    torch.testing.assert_close(found.observed_population, torch.log_softmax(found.population_x, 1))
    torch.testing.assert_close(found.lab.population[0], torch.log_softmax(found.population_x, 1))
    torch.testing.assert_close(found.lab.population[1], torch.log_softmax(2 * found.population_x, 1))
