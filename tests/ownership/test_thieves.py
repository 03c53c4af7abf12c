"""The thief who has the file, and the control who has nothing."""

import pytest
import torch

from amulet_core.components import NoParams
from amulet_plugins_builtin.ownership import planted_theft, thieves


def test_a_copy_shares_no_memory_with_the_victim_or_the_view():
    victim = planted_theft.contrary()
    view = planted_theft.view_of(victim, access="white-box", budget=1)
    copied = thieves.model_copy(view, NoParams()).model
    before = victim[1].weight.clone()
    with torch.no_grad():
        copied[1].weight.add_(1)
    assert torch.equal(victim[1].weight, before)
    assert torch.equal(view.model.module[1].weight, before)


@pytest.mark.parametrize("access", ["labels", "none"])
def test_there_is_no_copy_without_the_file(access):
    view = planted_theft.view_of(planted_theft.Whim(), access=access, budget=5)
    seen = {"labels": "BudgetOracle", "none": "NoneType"}[access]
    with pytest.raises(ValueError) as error:
        thieves.model_copy(view, NoParams())
    assert str(error.value) == f"model-copy takes a white box, and the view has {seen}"


def test_the_control_learns_all_own_rows_by_their_labels_whatever_the_budget(monkeypatch):
    calls = []
    monkeypatch.setattr(
        thieves, "imitated", lambda *given, **more: calls.append((given, more)) or planted_theft.build()
    )
    view = planted_theft.view_of(planted_theft.Whim(), access="none", budget=3)
    thieves.independent_model(view, NoParams())
    ((build, x, targets, settings), more) = calls[0]
    assert (build, settings, more["schema"]) == (view.architecture, view.settings, view.data_schema)
    assert torch.equal(x, view.x)
    assert torch.equal(targets, torch.eye(4)[view.y])
