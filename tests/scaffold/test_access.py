"""What a model in a view says when it is asked for more than its access offers, and what the kit then advises."""

import copy
import pickle

import pytest
import torch
from torch import nn

from amulet_core.oracles import BudgetOracle
from amulet_core.performing.recipes import Deployed
from amulet_core.testing import component_checks
from amulet_core.testing.findings import ConformanceError
from amulet_core.victims import ORACLES, NotOfferedError, with_access

LABELS = "attributions, explains, labels, queries"
PROBABILITIES = "attributions, explains, labels, log_probabilities, probabilities, queries"
WHOLE = "attributions, explains, labels, log_probabilities, logits, module, probabilities, queries"
REFUSED = {
    ("labels", "probabilities"): f'offers {LABELS}; "probabilities" needs access=probabilities or white-box',
    ("labels", "logits"): f'offers {LABELS}; "logits" needs access=white-box',
    ("probabilities", "logits"): f'offers {PROBABILITIES}; "logits" needs access=white-box',
    ("probabilities", "ask"): f"offers {PROBABILITIES}",
    ("white-box", "ask"): f"offers {WHOLE}",
}


@pytest.mark.parametrize(("asked", "told"), REFUSED.items(), ids="-".join)
def test_what_the_access_does_not_offer_is_refused_with_what_it_offers_and_which_access_does(asked, told):
    access, name = asked
    model = with_access(nn.Linear(2, 2), access)
    with pytest.raises(NotOfferedError) as error:
        getattr(model, name)
    assert str(error.value) == f'the model in the view has no "{name}". With this access it {told}'
    assert not hasattr(model, name)


def test_a_thiefs_oracle_offers_what_no_access_adds_to():
    oracle = BudgetOracle(nn.Linear(2, 2), tells="labels", top_k=1, budget=3)
    with pytest.raises(NotOfferedError) as error:
        oracle.labels  # noqa: B018 - to ask for it is the test
    assert str(error.value) == (
        'the model in the view has no "labels". With this access it offers ask, budget, queries, tells'
    )


@pytest.mark.parametrize("access", ORACLES)
def test_a_model_in_a_view_is_copied_as_ever(access):
    model = with_access(nn.Linear(2, 2), access)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert (type(copied), copied.queries) == (type(model), 0)


SCORE = "score=of_label(view.observed, view.y) - difficulty"
RAISED = {
    "too little access": (
        {"attack.py": (SCORE, "score=view.model.logits(view.x)[:, 0].double()")},
        f'NotOfferedError: the model in the view has no "logits". With this access it offers {PROBABILITIES}; "logits" '
        "needs access=white-box",
        "ask for what it offers, or name the access that is needed in the descriptor",
    ),
    "no access": (
        {
            "attack.py": (SCORE, "score=view.model.probabilities(view.x)[:, 0].double()"),
            "__init__.py": ('access="probabilities"', 'access="training-data"'),
        },
        "AttributeError: 'NoneType' object has no attribute 'probabilities'",
        "name an access that gives the view a model in the descriptor (labels, probabilities or white-box)",
    ),
    "an attribute of its own": (
        {"attack.py": (SCORE, "score=view.x.neighbours")},
        "AttributeError: 'Tensor' object has no attribute 'neighbours'",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "types": (
        {"attack.py": (SCORE, "score=difficulty.long()")},
        "MembershipAnswer: score is torch.int64 [600], expected torch.float64 [n]",
        "convert: score.double()",
    ),
    "sizes": (
        {"attack.py": (SCORE, "score=difficulty[:, None]")},
        "MembershipAnswer: score is torch.float64 [600, 1], expected torch.float64 [n]",
        "hand back the types and shapes that the game asks for",
    ),
    "numbers": (
        {"attack.py": (SCORE, "score=difficulty * (float('nan') ** (difficulty.argsort().argsort() > 597))")},
        "MembershipAnswer: score holds 2 values that are not finite (the first: nan at [",
        "keep it finite: no logarithm of 0, no division by 0, no mean of nothing",
    ),
    "a threshold": (
        {"attack.py": (SCORE, SCORE + ", threshold=float('inf')")},
        "MembershipAnswer: threshold: Input should be a finite number",
        "keep it finite: no logarithm of 0, no division by 0, no mean of nothing",
    ),
}


@pytest.mark.parametrize(("changes", "found", "fix"), RAISED.values(), ids=RAISED)
def test_what_is_raised_is_told_with_what_mends_it(write, changes, found, fix):
    descriptor = changes.get("__init__.py")
    made = write(
        "attack", "mine", "membership-inference", descriptor and ("amulet_plugin_mine/__init__.py", *descriptor)
    )
    path, (right, wrong) = made.folder / "amulet_plugin_mine" / "attack.py", changes["attack.py"]
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    (check,) = [one for one in component_checks(made.entry) if one.name == "it runs on the toy tasks"]
    with pytest.raises(ConformanceError) as error:
        check.run()
    assert error.value.found.startswith(f"on the toy table it raised {found}")
    assert error.value.fix == fix


def test_a_probability_of_zero_is_told_as_the_smallest_normal_number():
    deployed = Deployed(nn.Linear(2, 2), [lambda probabilities: probabilities.round()])
    told = with_access(deployed, "probabilities").log_probabilities(torch.ones(1, 2)).sort().values
    assert told[0].tolist() == pytest.approx([-87.3365, 0], abs=1e-4)
