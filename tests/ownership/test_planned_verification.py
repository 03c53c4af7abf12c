"""What a verification of ownership cannot be measured with is refused before anything is trained."""

import pytest

from amulet_core import discover
from amulet_core.configuration.reading import resolve
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.problems import request_problems
from amulet_plugins_builtin.ownership.planted_theft import SCHEMA

RISK = "ownership-verification"


def problems(*, aux=200, train=100, **threat):
    config = {
        "dataset": "digits",
        "data": {"train": train, "val": 50, "test": 100, "aux": aux},
        "defenses": ["watermark"],
        "risks": {RISK: {"threat": {"budget": 50} | threat}},
        "seeds": 1,
    }
    facts = DataFacts(data_schema=SCHEMA, rows=3000, content="", class_rows=(1000,) * len(SCHEMA.classes))
    return request_problems(resolve(config, discover()), facts)


@pytest.mark.parametrize("aux", [100, 199])
def test_independent_models_need_twice_as_many_rows_as_each_trains_on(aux):
    assert problems(aux=aux) == [
        f"risks.{RISK}.threat: each independent model trains on 100 of the {aux} rows of aux: with less than twice as "
        "many rows they are so alike that owners claim models of others more often than fpr says: raise data.aux to "
        "200 at least, or lower data.train"
    ]


def test_too_few_independent_models_for_the_rate_are_refused():
    assert problems(independent=18) == [
        f"risks.{RISK}.threat: with 18 independent models no p-value is below 0.05263, and fpr is 0.05: raise "
        "independent to 20 at least"
    ]


def test_a_larger_budget_than_there_are_rows_to_ask_about_is_refused():
    assert problems(budget=201) == [
        f"risks.{RISK}.threat: a budget of 201 queries is more than the adversary's 200 own rows to ask about: lower "
        "the budget, or raise data.aux"
    ]


def test_twice_as_many_rows_and_twenty_models_are_enough():
    assert problems() == []
