"""The checks that the ownership defenses ship catch owners who claim nothing, or everything."""

import pytest
import torch

from amulet_core.games.verification import VerificationAnswer
from amulet_core.victims import LabelOracle
from amulet_plugins_builtin.catalogue.ownership_defenses import COMPONENTS
from amulet_plugins_builtin.ownership import defense_checks


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
        (defense_checks.memoriser_is_claimed, CLAIMS_NOTHING, "p is 0.5, expected below .001"),
        (
            defense_checks.strangers_are_not_claimed,
            CLAIMS_ALL,
            "20 of 20 strangers have p below .05, expected one (at most 4)",
        ),
        (
            defense_checks.strangers_are_not_claimed,
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
        defense_checks.p_of(VerificationAnswer(score=torch.zeros(1, dtype=torch.float64)))
    assert str(failure.value).startswith("there are no p-values, expected one for each suspect")


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
