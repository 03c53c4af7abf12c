"""Runs on models that train themselves: which defenses they compose with, and which are refused before anything runs."""

import pytest

import amulet_core as amulet
from amulet_core.errors import RequestError


def config(estimator: str, *defenses: object) -> dict[str, object]:
    return {
        "dataset": "adult",
        "model": {"name": "sklearn", "params": {"estimator": estimator}},
        "data": {"train": 60, "val": 20, "test": 60, "aux": 20},
        "defenses": [*defenses],
        "risks": {"membership-inference": {"attacks": ["loss-threshold"]}, "evasion": {}},
        "seeds": 2,
    }


def test_defenses_that_change_training_are_refused_by_name() -> None:
    with pytest.raises(RequestError) as raised:
        amulet.run(
            config("knn", "reweighing", "adversarial-training", {"chain": ["reweighing", "adversarial-debiasing"]})
        )
    what = "changes how a model is trained, but builtin/sklearn trains itself: leave the defense out, or choose another model"
    assert raised.value.problems == (
        f"defenses.1 (adversarial-training): builtin/adversarial-training {what}",
        f"defenses.2 (reweighing + adversarial-debiasing): builtin/adversarial-debiasing {what}",
    )


@pytest.mark.parametrize("estimator", ["random-forest", "svm-rbf"])
def test_a_data_defense_composes_and_attacks_that_need_gradients_are_skipped_with_the_reason(estimator: str) -> None:
    results = amulet.run(config(estimator, "reweighing"))
    cells = {(cell.row, cell.attack): (cell.status, cell.reason) for cell in results.cells}
    reason = "builtin/pgd needs gradients, and builtin/sklearn has none"
    assert cells["reweighing", "builtin/pgd"] == ("skipped", reason)
    assert cells["reweighing", "builtin/loss-threshold"] == cells["none", "builtin/loss-threshold"] == ("ok", "")
    assert set(results.frame["row"]) == {"none", "placebo", "reweighing"}
    assert results.provenance.warnings == ()
    again = amulet.run(config(estimator, "reweighing"))
    assert again.frame.equals(results.frame)


def test_a_fitted_classifier_is_kept_for_later_runs_behind_a_wrapper_too() -> None:
    given = config("random-forest", "output-rounding")
    amulet.run(given)
    more = amulet.run(given | {"risks": {"membership-inference": {"attacks": ["gap"]}}})
    assert more.provenance.warnings == ()
    assert [label for label in more.provenance.timings if label.startswith("train")] == []
