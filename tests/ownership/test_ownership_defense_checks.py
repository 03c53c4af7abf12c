"""The checks that the ownership defenses ship catch owners who claim nothing, or everything."""

import pytest
import torch

from amulet_core.games.verification import VerificationAnswer
from amulet_core.victims import LabelOracle
from amulet_plugins_builtin.catalogue.ownership_defenses import COMPONENTS
from amulet_plugins_builtin.ownership import (
    defense_checks,
    distances,
    inference_checks,
    planted_owners,
    radioactive_data,
    watermark,
)


def owner(own, others, *, p_own, p_others):
    def verify(view):
        score, p = (torch.full((len(view.suspects),), value, dtype=torch.float64) for value in (others, p_others))
        score[0], p[0] = own, p_own
        return VerificationAnswer(score=score, p=p)

    return verify


CLAIMS_NOTHING = owner(0.0, 0.0, p_own=0.5, p_others=0.5)
CLAIMS_ALL = owner(9.0, 9.0, p_own=1e-9, p_others=1e-9)
CLAIMS_A_STRANGER = owner(9.0, 9.5, p_own=1e-9, p_others=0.5)


@pytest.mark.parametrize(
    ("check", "verify", "text"),
    [
        (inference_checks.memoriser_is_claimed, CLAIMS_NOTHING, "p is 0.5, expected below .001"),
        (
            inference_checks.strangers_are_not_claimed,
            CLAIMS_ALL,
            "20 of 20 strangers have p below .05, expected one (at most 4)",
        ),
        (
            inference_checks.strangers_are_not_claimed,
            CLAIMS_A_STRANGER,
            "a stranger scores 9.50, the owner's model 9.00",
        ),
    ],
    ids=["claims nothing", "claims all", "claims a stranger"],
)
def test_an_owner_who_does_not_tell_models_apart_fails(check, verify, text):
    with pytest.raises(AssertionError) as failure:
        check(verify, LabelOracle)
    assert str(failure.value).startswith(text)


def test_an_owner_without_p_values_fails():
    with pytest.raises(AssertionError) as failure:
        planted_owners.p_of(VerificationAnswer(score=torch.zeros(1, dtype=torch.float64)))
    assert str(failure.value).startswith("there are no p-values, expected one for each suspect")


def loss_on(name):
    def verify(view, params):
        rows, y = (view.proof[f"radioactive-data/{one}"] for one in (name, "y"))
        losses = [radioactive_data._loss(suspect, rows, y) for suspect in view.suspects]
        return VerificationAnswer(score=-torch.tensor(losses, dtype=torch.float64))

    return verify


@pytest.mark.parametrize("rows", ["marked", "plain"])
def test_an_owner_who_claims_whoever_knows_its_rows_fails(monkeypatch, rows):
    monkeypatch.setattr(radioactive_data, "verify", loss_on(rows))
    with pytest.raises(
        AssertionError, match=r"^a model of the same rows unmarked scores -0\.\d+, the best of others -"
    ):
        defense_checks.unmarked_model_is_not_claimed()


@pytest.mark.parametrize("label", range(4))
def test_triggers_of_one_label_fail(monkeypatch, label):
    trigger_set = watermark.trigger_set

    def alike(*given):
        x, y = trigger_set(*given)
        return x, torch.full_like(y, label)

    monkeypatch.setattr(watermark, "trigger_set", alike)
    monkeypatch.setattr(defense_checks, "_watermarked", defense_checks._watermarked.__wrapped__)
    with pytest.raises(AssertionError, match=r"strangers? (have|has) p"):
        defense_checks.strangers_hit_by_chance()


def right_or_wrong(labels, x, y, schema, *, walks, step, steps, seed):
    return (labels(x) == y).float()[:, None].expand(-1, 3 * walks)


def one_step_more(labels, x, y, schema, *, walks, step, **more):
    return BLIND_WALK(labels, x, y, schema, walks=walks, step=step, **more) + step * (labels(x) == y)[:, None]


BLIND_WALK = distances.blind_walk


@pytest.mark.parametrize("walk", [right_or_wrong, one_step_more])
def test_walks_that_do_not_end_at_the_boundary_fail(monkeypatch, walk):
    monkeypatch.setattr(distances, "blind_walk", walk)
    with pytest.raises(AssertionError, match=r"^\d+ of 72 walks end neither there nor there, expected none"):
        inference_checks.walks_end_on_a_line()


def test_what_verifies_says_what_it_sees_and_who_reads_private_rows_says_so():
    found = {one.name: (tuple(one.stages), one.verify_access if one.verify else None) for one in COMPONENTS}
    assert found == {
        "watermark": (("data",), "labels"),
        "radioactive-data": (("training",), "probabilities"),
        "dataset-inference": ((), "labels"),
        "dataset-inference-mingd": ((), "white-box"),
        "output-rounding": (("inference",), None),
    }
    assert [one.name for one in COMPONENTS if one.reads_private_rows] == ["radioactive-data"]
