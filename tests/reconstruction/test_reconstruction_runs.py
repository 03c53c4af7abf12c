"""Data reconstruction from end to end: small runs on a table and on images, what is planned, skipped and shown."""

import pytest

from amulet_core import run
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import discover
from amulet_core.errors import RequestError
from amulet_core.performing.ground import load_data
from amulet_core.planning.facts import facts_of
from amulet_core.planning.plan import plan

ROWS = {"train": 120, "val": 20, "test": 150, "aux": 200}
QUICK = [
    {"name": "output-decoder", "params": {"epochs": 20}},
    {"name": "mi-face", "params": {"steps": 20}},
    {"name": "gradient-inversion", "params": {"steps": 30}},
]


def config(dataset, model, **changes):
    return {
        "dataset": dataset,
        "model": model,
        "training": {"epochs": 5},
        "data": ROWS,
        "risks": {"data-reconstruction": {"attacks": QUICK, "threat": {"rows": 100, "gradients": 3}}},
        "seeds": 1,
    } | changes


@pytest.fixture(scope="module", params=[("adult", "mlp"), ("digits", "cnn")], ids=["adult", "digits"])
def results(request, tmp_path_factory):
    """Run all attacks on a table and on images, once."""
    return run(config(*request.param), out=tmp_path_factory.mktemp("out"), cache=tmp_path_factory.mktemp("cache"))


def test_every_cell_is_filled_and_only_the_verdicts_kind_has_its_value(results):
    assert {cell.status for cell in results.cells} == {"ok"}
    frame = results.frame.query("row == 'none' and value == 'relative_error'").dropna(subset=["estimate"])
    assert sorted(frame.attack) == ["builtin/class-mean", "builtin/output-decoder", "builtin/zero-input"]
    by_attack = frame.set_index("attack").estimate
    assert by_attack["builtin/class-mean"] == pytest.approx(1.0, abs=1e-5)
    assert by_attack["builtin/output-decoder"] < 1.1
    assert by_attack["builtin/zero-input"] > 1.2


def test_the_matrix_and_the_report_show_the_column(results, tmp_path):
    entry = next(one for one in results.entries if (one.row, one.risk) == ("none", "data-reconstruction"))
    frame = results.frame.query("row == 'none' and value == 'relative_error' and attack == 'builtin/output-decoder'")
    assert entry.mean == pytest.approx(frame.estimate.item())
    results.report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Data reconstruction" in text
    assert "error relative to the class mean" in text
    assert "100 inputs of the kind row" in text


def test_the_adversary_of_a_gradient_is_named(results):
    adversaries = {cell.attack: cell.adversary for cell in results.cells if cell.risk == "data-reconstruction"}
    assert adversaries["builtin/gradient-inversion"] == "sees gradients that the defended recipe releases"
    assert adversaries["builtin/mi-face"] == "adaptive: attacks the defended model itself"
    assert adversaries["builtin/class-mean"] == "none"


def test_the_placebos_gradient_is_taken_at_other_weights_and_everything_repeats(tmp_path):
    raw = config("digits", "cnn")
    raw["risks"] = {"data-reconstruction": {"attacks": QUICK[2:], "threat": {"verdict": "batch", "gradients": 2}}}
    first, second = (run(raw, cache=tmp_path / name) for name in ("a", "b"))
    assert first.frame.equals(second.frame)
    frame = first.frame.query("value == 'mse' and attack == 'builtin/gradient-inversion'").set_index("row").estimate
    assert frame["none"] != frame["placebo"]


def planned(raw):
    request = resolve(raw, discover())
    return plan(request, facts_of(load_data(request)))


def test_attacks_that_need_gradients_are_skipped_on_models_without_them():
    cells = planned(config("digits", "sklearn")).cells
    skipped = {cell.attack: cell.skipped for cell in cells if cell.row == "none" and cell.skipped}
    assert skipped == {
        "builtin/mi-face": "builtin/mi-face needs gradients, and builtin/sklearn has none",
        "builtin/gradient-inversion": "builtin/gradient-inversion needs gradients, and builtin/sklearn has none; "
        "builtin/gradient-inversion needs gradients that training releases, and builtin/sklearn trains itself",
    }


WRAPPING = (
    "correlation-remover",
    "exponentiated-gradient",
    "threshold-optimizer",
    "outlier-removal",
    "activation-clustering",
    "spectral-signatures",
    "fine-pruning",
    "radioactive-data",
)
HONEST = (
    "reweighing",
    "watermark",
    "adversarial-debiasing",
    "adversarial-training",
    "trades",
    "label-smoothing",
    "dp-sgd",
    "output-rounding",
)
NOT_RELEASED = (
    "builtin/gradient-inversion sees the gradient of an objective, and builtin/{} does more in training than its "
    "objective says (drops or moves rows, trains further models, changes the architecture or the weights): such a "
    "gradient is not what the recipe releases"
)
AT_THE_END = (
    "builtin/gradient-inversion takes gradients at the victim's weights (taken_at: end), and builtin/{} puts the "
    "architecture into a module of its own: set taken_at to start"
)


NEITHER_RELEASED = (
    "builtin/gradient-inversion sees the gradient of an objective, and builtin/outlier-removal and "
    "builtin/spectral-signatures do more in training than their objectives say (drop or move rows, train further models, "
    "change the architecture or the weights): such a gradient is not what the recipe releases"
)


def skipped_rows(taken_at, *defenses):
    """Return why gradient inversion is skipped, by row ("" where it is not), on Adult."""
    raw = config({"name": "adult", "params": {"sensitive_in_x": True}}, "mlp", defenses=list(defenses))
    raw["data"] = ROWS | {"val": 100}  # enough for a threshold for each group
    raw["risks"] = {"data-reconstruction": {"attacks": QUICK, "threat": {"verdict": "batch", "taken_at": taken_at}}}
    cells = planned(raw).cells
    assert not [cell.row for cell in cells if cell.attack in ("builtin/class-mean", "builtin/mi-face") and cell.skipped]
    return {cell.row: cell.skipped for cell in cells if cell.attack == "builtin/gradient-inversion"}


def test_gradient_inversion_is_skipped_where_a_recipe_releases_more_than_its_objective_says():
    nothing = dict.fromkeys(("none", "placebo", "randomized-smoothing", *HONEST), "")
    wrapping = {name: NOT_RELEASED.format(name) for name in WRAPPING}
    assert skipped_rows("start", *HONEST, "randomized-smoothing", *WRAPPING) == nothing | wrapping


def test_of_two_defenses_that_do_more_than_they_say_both_are_named():
    found = skipped_rows("start", ["outlier-removal", "spectral-signatures"])
    assert found["outlier-removal + spectral-signatures"] == NEITHER_RELEASED


def test_a_gradient_at_weights_of_another_module_is_skipped():
    found = skipped_rows("end", "randomized-smoothing", "correlation-remover", "outlier-removal", "dp-sgd")
    assert found == {
        "none": "",
        "placebo": "",
        "dp-sgd": "",
        "randomized-smoothing": AT_THE_END.format("randomized-smoothing"),
        "outlier-removal": NOT_RELEASED.format("outlier-removal"),
        "correlation-remover": f"{NOT_RELEASED.format('correlation-remover')}; {AT_THE_END.format('correlation-remover')}",
    }


def test_more_rows_behind_gradients_than_there_are_is_an_error_of_the_request():
    raw = config("digits", "mlp")
    raw["risks"] = {"data-reconstruction": {"threat": {"gradients": 31, "batch": 4}}}
    with pytest.raises(RequestError) as caught:
        planned(raw)
    assert caught.value.problems == (
        "risks.data-reconstruction.threat: 31 gradients of 4 rows each need 124 training rows, and there are 120: lower "
        "gradients or batch",
    )


def test_gradients_of_dp_sgd_give_less_away_than_undefended_ones(tmp_path):
    raw = config("adult", "mlp", defenses=[{"name": "dp-sgd", "params": {"epsilon": None, "noise_multiplier": 1.5}}])
    raw["risks"] = {"data-reconstruction": {"attacks": QUICK[2:], "threat": {"verdict": "batch"}}}
    found = run(raw, cache=tmp_path).frame.query("value == 'relative_error' and attack == 'builtin/gradient-inversion'")
    by_row = found.set_index("row").estimate
    assert by_row["none"] < 1e-6
    assert by_row["placebo"] < 1e-6
    assert by_row["dp-sgd"] > 1
