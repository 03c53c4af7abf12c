import pytest

from amulet_plugin_torchattacks import checks, linf_settings, other_settings


def test_a_search_that_stops_short_of_the_worst_margin_is_told_from_one_that_does_not():
    weak = linf_settings.BimParams(steps=1)
    with pytest.raises(AssertionError, match=r"^the margin found is up to .* from the worst in linf, expected 1e-5"):
        checks.reaches_worst_margin(weak, norm="linf")


def test_a_change_larger_than_needed_is_told_from_the_smallest():
    wide = other_settings.DeepFoolParams(overshoot=0.5)
    with pytest.raises(AssertionError, match=r"^the change is up to 1\.500 times the smallest that fools"):
        checks.needs_no_more(wide, norm="l2", ratio=1.021)


def test_an_attack_that_hardly_moves_is_told_from_one_with_power():
    weak = linf_settings.BimParams(steps=1, relative_step=0.01)
    with pytest.raises(AssertionError, match=r"of the rows that a third of the budget can fool are, expected 0\.9$"):
        checks.follows_the_margins(weak, norm="linf", share=0.9)


def test_a_control_that_follows_the_gradient_is_told_from_noise(monkeypatch):
    monkeypatch.setattr(checks, "attack", lambda view, params: _fgsm(view))
    with pytest.raises(AssertionError, match=r"^noise costs .* of margin on average, expected 0 within"):
        checks.knows_nothing(other_settings.GnParams())


def _fgsm(view):
    from amulet_core.victims import WhiteBox

    from amulet_plugin_torchattacks import planted
    from amulet_plugin_torchattacks.attack import attack

    told = view.model_copy(update={"model": WhiteBox(planted.table_victim())})
    return attack(told, linf_settings.FgsmParams())
