"""The rules of a privacy audit: which rows are planted, what is guessed of them, and which claim is audited."""

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from amulet_core.components import NoParams
from amulet_core.data import make_data
from amulet_core.games.audit import Claim, claimed, guesses, judge
from amulet_core.games.audit_threat import AuditThreat
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.membership import MembershipAnswer
from amulet_core.performing.audits import audited_rows, canaries
from amulet_core.performing.ground import Ground
from amulet_core.performing.splits import Block
from amulet_core.planning.layout import Place
from amulet_core.schema import DataSchema, Feasible
from amulet_core.scores import ALARM, Withheld
from amulet_core.statistics.audit import audit_p_value, audited_epsilon
from amulet_plugins_builtin.privacy import audit
from amulet_plugins_builtin.privacy.audit import measure
from amulet_plugins_builtin.privacy.audit_checks import metric, planted

VICTIM, PARTNER = Place(0, 0), Place(0, 1)


@pytest.fixture
def ground():
    """Return 400 rows: a pool of 200, whose even places train the victim."""
    draws = torch.Generator().manual_seed(0)
    schema = DataSchema(modality="tabular", shape=(2,), classes=("a", "b", "c"), feasible=Feasible(low=0.0, high=1.0))
    data = make_data(torch.rand(400, 2, generator=draws), torch.randint(3, (400,), generator=draws), schema)
    pool, val, test, aux = data.id[:200], data.id[200:250], data.id[250:300], data.id[300:]
    member = torch.arange(200) % 2 == 0
    return Ground(data, (Block(pool=pool, val=val, test=test, aux=aux),), (torch.stack([member, ~member]),))


def test_audit_rows_come_from_the_half_of_the_pool_that_the_victim_does_not_train_on(ground):
    found = canaries(ground, VICTIM, AuditThreat(canaries=100))
    assert sorted(found.rows.id.tolist()) == list(range(1, 200, 2))
    assert found.rows.id.tolist() != sorted(found.rows.id.tolist())


def test_every_coin_is_fair_and_is_tossed_apart_from_the_others(ground):
    """Over 200 roots: each row's mean is near 1/2 (five standard errors), and the count has a binomial's variance."""
    threat = AuditThreat(canaries=50)
    coins = torch.stack(
        [canaries(dataclasses.replace(ground, root_seed=seed), VICTIM, threat).included for seed in range(200)]
    ).double()
    assert (coins.mean(0) - 0.5).abs().max() < 5 * 0.5 / 200**0.5
    assert 0.6 < coins.sum(1).var() / (50 / 4) < 1.5


def test_audit_rows_do_not_depend_on_guesses_and_differ_from_victim_to_victim(ground):
    few, many, other = (
        canaries(ground, place, AuditThreat(canaries=50, guessed_in=count))
        for place, count in ((VICTIM, 1), (VICTIM, 20), (PARTNER, 1))
    )
    assert torch.equal(few.rows.id, many.rows.id)
    assert torch.equal(few.included, many.included)
    assert not torch.equal(few.included, other.included)


@pytest.mark.parametrize("labels", ["wrong", "true"])
def test_wrong_labels_are_wrong_for_every_audit_row_and_true_ones_are_their_own(ground, labels):
    found = canaries(ground, VICTIM, AuditThreat(labels=labels)).rows
    own = ground.data.y[found.id]
    assert bool(((found.y == own) == (labels == "true")).all())
    if labels == "wrong":
        assert {int(step) for step in (found.y - own) % 3} == {1, 2}


def test_the_audited_recipe_gets_training_rows_and_the_audit_rows_whose_coins_say_so(ground):
    threat = AuditThreat(canaries=60)
    told, rows = canaries(ground, VICTIM, threat), audited_rows(ground, VICTIM, threat)
    own = set(ground.training_rows(VICTIM).id.tolist())
    added = {int(one) for one in rows.id if int(one) not in own}
    assert added == set(told.rows.id[told.included].tolist())
    assert len(own & set(rows.id.tolist())) == 100 - 30
    given = dict(zip(rows.id.tolist(), rows.y.tolist(), strict=True))
    wrong = dict(zip(told.rows.id.tolist(), told.rows.y.tolist(), strict=True))
    assert {one: given[one] for one in added} == {one: wrong[one] for one in added}
    assert all(given[one] == int(ground.data.y[one]) for one in own & set(given))


@pytest.mark.parametrize(
    ("score", "guessed_in", "guessed_out", "expected"),
    [
        ([0.1, 0.9, 0.5, 0.2], 1, 2, [-1, 1, 0, -1]),
        ([0.1, 0.9, 0.5, 0.2], 0, 1, [-1, 0, 0, 0]),
        ([0.1, 0.9, 0.5, 0.2], 3, 0, [0, 1, 1, 1]),
        ([7.0, 7.0, 7.0, 7.0], 2, 2, [1, 1, -1, -1]),
    ],
)
def test_so_many_are_guessed_as_was_fixed_whatever_the_scores(score, guessed_in, guessed_out, expected):
    found = guesses(torch.tensor(score, dtype=torch.float64), guessed_in=guessed_in, guessed_out=guessed_out)
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("given", "found"),
    [({"guessed_in": 60, "guessed_out": 41}, 101), ({"guessed_in": 0, "guessed_out": 0}, 0)],
)
def test_guesses_that_cannot_be_made_are_refused(given, found):
    with pytest.raises(ValidationError) as error:
        AuditThreat(**given)
    assert error.value.errors()[0]["msg"] == (
        f"Value error, guessed_in and guessed_out together are {found}: between 1 and the 100 canaries are to be guessed"
    )


@pytest.mark.parametrize(
    "spent",
    [
        {"epsilon": 2.0},
        {"epsilon_rdp": 3.0, "epsilon_prv": 2.0, "noise": 1.1},
        {"epsilon_rdp": 2.0, "epsilon_prv": 3.0},
        {"epsilon": 2.0, "epsilon_per_step": 0.1, "epsilon_0": 0.5, "epsilons": [0.3]},
    ],
)
def test_the_smallest_epsilon_that_is_claimed_is_audited(spent):
    found = claimed({"privacy": {**spent, "delta": 1e-5, "conditional_on": ["early-stopping"]}})
    assert (found.epsilon, found.delta, found.conditional_on) == (2.0, 1e-5, ("early-stopping",))


@pytest.mark.parametrize(
    "evidence",
    [{}, {"privacy": {"epsilon": 1.0}}, {"privacy": {"delta": 0.1, "epsilon_per_step": 0.1}}, {"privacy": 3}],
)
def test_an_account_without_epsilon_or_delta_is_no_claim(evidence):
    with pytest.raises(ValueError, match="names no") as error:
        claimed(evidence)
    assert str(error.value) == (
        'it accounts for privacy, but its evidence "privacy" names no epsilon (epsilon or epsilon_prv or epsilon_rdp) and '
        "delta that could be audited"
    )


@pytest.mark.parametrize(("attacks", "confidence"), [(1, 0.9), (2, 0.95), (5, 0.98)])
def test_the_error_of_the_bound_is_shared_out_among_attacks(ground, attacks, confidence):
    threat = AuditThreat(canaries=60, guessed_in=20, guessed_out=20, confidence=0.9)
    told = canaries(ground, VICTIM, threat)
    contest = Contest(
        model=torch.nn.Linear(2, 3),
        beneath=torch.nn.Linear(2, 3),
        pool=told.rows,
        member=told.included,
        test=told.rows,
        aux=told.rows,
        bank=Bank(
            pool=torch.zeros(0, 60, 3),
            members=torch.zeros(0, 60, dtype=torch.bool),
            population=torch.zeros(0, 60, 3),
            adaptive=True,
        ),
        draws=("draws", 0),
    )
    answer, claim = MembershipAnswer(score=told.included.double()), Claim(epsilon=1.0, delta=1e-5)
    result = judge(contest, answer, threat, claim=claim, audits=7, attacks=attacks)
    assert result.confidence == pytest.approx(confidence)
    assert result.audits == 7


def test_a_claim_that_the_guesses_contradict_is_an_alarm_that_says_by_how_much():
    found = measure(planted(49, 50, epsilon=0.1, delta=1e-5), NoParams())
    assert found.warnings == (
        "ALARM: epsilon 0.1 at delta 1e-05 is claimed, and an audit finds at least 2.3 (49 of 50 guesses right, "
        "p = 3.4e-04 with Bonferroni's factor 10): the account, the noise or the clipping is wrong",
    )
    assert found["right_guesses"].estimate == 0.98
    assert found.details["bound_if_all_were_right"] > found["audited_epsilon"].estimate


@pytest.mark.parametrize(("audits", "alarms"), [(1, 1), (10, 1), (1000, 0), (0, 0)])
def test_the_alarm_is_corrected_for_all_audits_of_the_run(audits, alarms):
    """p is about 1e-5 for 42 of 50 under epsilon 0.1. A control takes part in no correction, and raises no alarm."""
    result = planted(42, 50, epsilon=0.1).model_copy(update={"audits": audits})
    found = measure(result, NoParams())
    assert 1e-6 < found["p_of_claim"].estimate < 1e-4
    assert len([text for text in found.warnings if text.startswith(ALARM)]) == alarms


@pytest.mark.parametrize(("epsilon", "delta", "said"), [(0.1, 1e-5, "yes"), (8.0, 1e-5, "no"), (0.1, 1e-3, "no")])
def test_an_audit_says_whether_it_could_have_raised_an_alarm(epsilon, delta, said):
    found = measure(planted(25, 50, epsilon=epsilon, delta=delta), NoParams())
    assert found.details["alarm_if_all_were_right"] == said


ALL_OF_50 = "no alarm is possible at these settings: all 50 guesses right would refute no claim "


@pytest.mark.parametrize(
    ("epsilon", "delta", "change", "text"),
    [
        (
            8.0,
            1e-5,
            {},
            f"{ALL_OF_50}above epsilon 1.46 at delta 1e-05 with Bonferroni's factor 10, and 8 is claimed. 54922 canaries, "
            "all of them guessed, could, if the claim held at delta 2e-08; so could an audit of a smaller claim",
        ),
        (
            8.0,
            0.0,
            {},
            f"{ALL_OF_50}above epsilon 1.6 at delta 0 with Bonferroni's factor 10, and 8 is claimed. 54922 canaries, all "
            "of them guessed, could",
        ),
        (
            12.0,
            1e-5,
            {"audits": 1},
            f"{ALL_OF_50}above epsilon 1.89 at delta 1e-05 with Bonferroni's factor 1, and 12 is claimed. No feasible number "
            "of guesses could refute such a claim: audit a smaller one",
        ),
        (
            0.1,
            1e-3,
            {},
            f"{ALL_OF_50}at all at delta 0.001 with Bonferroni's factor 10, and 0.1 is claimed. 30 canaries, all of them "
            "guessed, could, if the claim held at delta 3e-05; so could an audit of a smaller claim",
        ),
        (1.0, 1e-5, {}, None),
        (8.0, 1e-5, {"audits": 0}, None),
        (8.0, 1e-5, {"conditional_on": ("early-stopping",)}, None),
    ],
)
def test_an_audit_that_cannot_alarm_warns_and_says_what_could(epsilon, delta, change, text):
    result = planted(25, 50, epsilon=epsilon, delta=delta).model_copy(update=change)
    assert measure(result, NoParams()).warnings == ((text,) if text else ())


BROKEN = {
    "the p-value knows no delta": ("audit_p_value", lambda *, delta, **more: audit_p_value(delta=0.0, **more)),
    "the bound knows no delta": ("audited_epsilon", lambda *, delta, **more: audited_epsilon(delta=0.0, **more)),
    "rows without a guess do not count": (
        "audited_epsilon",
        lambda *, rows, guesses, **more: audited_epsilon(rows=guesses, guesses=guesses, **more),
    ),
    "nothing is corrected": ("_refutes", lambda result, p: not result.conditional_on and p < 0.001),
    "conditions are ignored": ("_refutes", lambda result, p: p * result.audits < 0.001),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_audit_that_is_broken_fails_a_check_that_it_ships(name, monkeypatch):
    monkeypatch.setattr(audit, *BROKEN[name])
    failed = []
    for check in metric():
        try:
            check.run()
        except AssertionError:
            failed.append(check.name)
    assert len(failed) == 1


def test_a_claim_on_condition_of_another_stage_is_not_contradicted():
    result = planted(50, 50, epsilon=0.1).model_copy(update={"conditional_on": ("early-stopping", "l2")})
    found = measure(result, NoParams())
    assert found.warnings == ()
    assert found["audited_epsilon"].estimate > 2
    assert found["p_of_claim"] == Withheld(
        name="p_of_claim",
        reason="the claim holds on condition of early-stopping and l2, which saw private rows: a larger bound would not "
        "contradict it",
    )
