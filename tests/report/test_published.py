"""The published tables as data: complete, consistent, and marked where nobody has measured yet."""

from collections import Counter

import pytest

from amulet_core.published.tables import expected, factors, published


def test_the_tables_hold_31_increases_11_decreases_and_14_unexplored_interactions():
    assert Counter(each.effect for each in published().interactions) == {
        "increase": 31,
        "decrease": 11,
        "unexplored": 14,
    }


def test_every_defense_meets_every_risk_exactly_once():
    tables = published()
    pairs = Counter((each.defense, each.risk) for each in tables.interactions)
    assert pairs == Counter((defense, risk) for defense in tables.defenses for risk in tables.risks)
    assert len(pairs) == 56


def test_every_factor_that_is_referred_to_is_described():
    tables = published()
    named = {factor for each in tables.interactions for factor in each.factors}
    named |= {factor for each in (*tables.defenses.values(), *tables.risks.values()) for factor in each.arrows}
    assert named <= set(factors())


@pytest.mark.parametrize(
    ("defense", "risk", "effect", "first_time"),
    [
        ("RD1", "P1", "increase", False),
        ("RD1", "R1", "decrease", False),
        ("PD1", "R3", "unexplored", True),
        ("RD1", "P3", "unexplored", False),  # measured since, by arXiv:2509.12386
    ],
)
def test_an_interaction_is_found_by_the_ids_of_its_defense_and_risk(defense, risk, effect, first_time):
    found = expected(defense, risk)
    assert found is not None
    assert (found.effect, found.first_time) == (effect, first_time)
    assert found.defense == published().defenses[defense].name
    assert found.risk == published().risks[risk].name


def test_first_time_is_what_was_unexplored_and_has_not_been_measured_since():
    tables = published()
    found = [expected(each.defense, each.risk) for each in tables.interactions]
    assert sum(each.first_time for each in found if each) == 10
    assert all(each.effect == "unexplored" and not each.measured_since for each in found if each and each.first_time)


def test_factors_come_with_their_kind_of_evidence():
    found = expected("RD1", "P1")
    assert found is not None
    assert found.factors == (("D1", "TE"), ("O2.1", "E"), ("M1", "E"))


@pytest.mark.parametrize(("defense", "risk"), [(None, "R1"), ("RD1", None), ("XX", "R1"), ("RD1", "XX"), (None, None)])
def test_what_the_tables_lack_is_none(defense, risk):
    assert expected(defense, risk) is None
