"""Metrics, architectures and data sets that misbehave: each fails exactly one check of the conformance kit."""

from pathlib import Path

import pytest
from descriptors import dataset, metric, model

from amulet_core.testing import component_checks
from amulet_core.testing.findings import ConformanceWarning, NotCheckedError
from amulet_core.testing.static import static_checks

WELL_BEHAVED = (
    metric("shares"),
    model("layers", stackable=True),
    model("shown", stackable=True, produces=("features",)),
    model("dropping"),
    dataset("rows"),
)
STATIC = {check.name for entry in WELL_BEHAVED for check in static_checks("it", entry)}

UNCLIPPED = "weights that are used by the calls of their layers alone, each layer called once, or clippable=False"
COUNTED = (
    "call layers instead of taking their weights by hand (layer.weight), let no two layers share weights and leave out "
    "those without use; or set clippable=False in the descriptor: dp-sgd then refuses the model"
)
STACKABLE = (
    "leave out what vmap cannot run (draws such as dropout's, in-place changes, .item(), data-dependent shapes), or set "
    "stackable=False"
)
MUTANTS = {
    "metric that raises": (
        metric("crashing_metric"),
        "it runs on the toy tasks",
        "on the toy table, a result good for the defender it raised ZeroDivisionError: division by zero",
        "a result with the default parameters",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "metric without a value": (
        metric("one_value_missing"),
        "it gives exactly the values that it declares",
        "on the toy table, a result good for the defender it gave robust",
        "Scores with robust, clean, each once",
        "give every declared value, or Withheld(name, reason) in its place, and declare every value given",
    ),
    "metric that returns a dict": (
        metric("no_scores"),
        "it gives exactly the values that it declares",
        "on the toy table, a result good for the defender it returned dict",
        "Scores with robust, clean, each once",
        "give every declared value, or Withheld(name, reason) in its place, and declare every value given",
    ),
    "metric with an interval beside its value": (
        metric("interval_beside"),
        "it gives exactly the values that it declares",
        "on the toy table, a result good for the defender the interval of clean, 0.1 to 0.2, is not around 0.9",
        "Scores with robust, clean, each once",
        "give every declared value, or Withheld(name, reason) in its place, and declare every value given",
    ),
    "metric of the attack's success": (
        metric("success_for_robustness"),
        "its values are better where the defender fares better",
        "on the toy table, a result good for the defender robust is worse than where everything is lost",
        "values that are better than on the result bad for the defender",
        (
            'set better ("higher" or "lower" is better for the defender) of each measure the right way round, and'
            " see that the metric reads the result"
        ),
    ),
    "constant metric": (
        metric("constant_metric"),
        "its values are better where the defender fares better",
        "on the toy table, a result good for the defender every value is the same",
        "values that are better than on the result bad for the defender",
        (
            'set better ("higher" or "lower" is better for the defender) of each measure the right way round, and'
            " see that the metric reads the result"
        ),
    ),
    "metric that changes the result": (
        metric("result_changed"),
        "it leaves what it is given alone",
        "on the toy table, a result good for the defender it changed robust of the result",
        "no change",
        "work on a copy (clone, dataclasses.replace) of what is given",
    ),
    "metric that changes a global setting": (
        metric("metric_setting"),
        "it leaves global settings alone",
        (
            "on the toy table, a result good for the defender it changed numpy's error handling ({'divide': "
            "'warn', 'over': 'warn', 'under': 'ignore', 'invalid': 'warn'}, then {'divide': 'raise', 'over': "
            "'warn', 'under': 'ignore', 'invalid': 'warn'})"
        ),
        "no change",
        "pass dtype, device and the like to the calls that need them, or restore the setting in a finally",
    ),
    "metric that seeds": (
        metric("metric_seeded"),
        "it never seeds the global generators",
        "under two keys the generator of torch ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
    "metric that draws from the system": (
        metric("metric_never_the_same"),
        "the same key gives the same bits",
        (
            "on the toy table, a result good for the defender two runs under one key differ in estimate of item 0"
            " of values of the result"
        ),
        "equal bits",
        "draw from the global generators of torch, numpy and random only, and keep nothing between calls",
    ),
    "model that raises": (
        model("crashing_model"),
        "it runs on the toy tasks",
        "on the toy table it raised KeyError: 'layers'",
        "a result with the default parameters",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "model with one logit": (
        model("one_logit"),
        "its logits are finite, one for each class",
        "on the toy table its logits for 6 rows are torch.float32 [6, 1]",
        "finite float32 logits [n, 2]",
        "end with a linear layer of len(schema.classes) outputs, and read the row's shape from schema.shape",
    ),
    "model that is none": (
        model("no_module"),
        "its logits are finite, one for each class",
        "on the toy table it built function, not a torch.nn.Module",
        "finite float32 logits [n, 2]",
        "end with a linear layer of len(schema.classes) outputs, and read the row's shape from schema.shape",
    ),
    "model with BatchNorm": (
        model("batch_norm"),
        "it has no BatchNorm",
        "on the toy table it has BatchNorm (norm)",
        "none",
        "use GroupNorm, or no normalisation layer",
    ),
    "model with running statistics": (
        model("running_statistics"),
        "it has no BatchNorm",
        "on the toy table it has running statistics of batches (norm.1)",
        "none",
        "set track_running_stats=False",
    ),
    "model with constant weights": (
        model("constant_weights"),
        "another seed gives other weights",
        "on the toy table two seeds gave equal weights",
        "other weights",
        "draw the weights from torch's global generator, as its layers do, and do not seed it",
    ),
    "model that shows no features": (
        model("layers", produces=("features",)),
        "it shows its hidden features, as produces says",
        "on the toy table it is a Layers, which shows no features",
        "an amulet_core.modules.Classifier, whose logits are head(features(x))",
        'derive the architecture from Classifier, or leave "features" out of produces',
    ),
    "model whose head does not stand on its features": (
        model("shifted", produces=("features",)),
        "it shows its hidden features, as produces says",
        "on the toy table its logits are off by 1 from the head of its features",
        "an amulet_core.modules.Classifier, whose logits are head(features(x))",
        'derive the architecture from Classifier, or leave "features" out of produces',
    ),
    "model without gradients": (
        model("rounding"),
        "its logits are differentiable in its input",
        "on the toy table the gradient of its logits in its input is missing",
        "a gradient, as differentiable=True promises",
        "keep the input in the graph (no detach, no rounding), or set differentiable=False",
    ),
    "model that cannot be stacked": (
        model("peeking", stackable=True),
        "it works as a stack",
        "on the toy table as a stack it raised RuntimeError: vmap: It looks like you're calling .item() on a Tensor",
        "the logits of each model alone, as stackable=True promises",
        STACKABLE,
    ),
    "model that draws while it is trained": (
        model("dropping", stackable=True),
        "it works as a stack",
        "on the toy table as a stack it raised RuntimeError: vmap: called random operation while in randomness error "
        "mode",
        "the logits of each model alone, as stackable=True promises",
        STACKABLE,
    ),
    "model that cannot be stacked when it is asked": (
        model("peeking_when_asked", stackable=True),
        "it works as a stack",
        "on the toy table as a stack it raised RuntimeError: vmap: It looks like you're calling .item() on a Tensor",
        "the logits of each model alone, as stackable=True promises",
        STACKABLE,
    ),
    "model that takes a layer's weight by hand": (
        model("by_hand"),
        "the gradient of each row can be clipped",
        "on the toy table the sum of clipped gradients is off by 3% from that of rows clipped one by one",
        UNCLIPPED,
        COUNTED,
    ),
    "model that calls a layer twice": (
        model("called_twice"),
        "the gradient of each row can be clipped",
        "on the toy table counting the gradient of each row raised NotImplementedError: Parameter tying is not supported "
        "with Ghost Clipping",
        UNCLIPPED,
        COUNTED,
    ),
    "model of a layer with weights that draws": (
        model("dropping_scale"),
        "the gradient of each row can be clipped",
        "on the toy table counting the gradient of each row raised RuntimeError: vmap: called random operation while in "
        "randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform the "
        "randomness operation out of vmap",
        "layers with weights of their own that draw nothing at random, or clippable=False",
        "leave draws to layers without weights, such as nn.Dropout; or set clippable=False in the descriptor: dp-sgd then "
        "refuses the model",
    ),
    "model that draws from the system": (
        model("model_never_the_same"),
        "the same key gives the same bits",
        "on the toy table two runs under one key differ in parameter head.bias of the result",
        "equal bits",
        "draw from the global generators of torch, numpy and random only, and keep nothing between calls",
    ),
    "model that seeds": (
        model("model_seeded"),
        "it never seeds the global generators",
        "under two keys the generator of numpy ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
    "model that changes a global setting": (
        model("model_setting"),
        "it leaves global settings alone",
        "on the toy table it changed the grad mode (True, then False)",
        "no change",
        "pass dtype, device and the like to the calls that need them, or restore the setting in a finally",
    ),
    "data set that raises": (
        dataset("crashing_rows"),
        "it runs on the toy tasks",
        "on a call with default parameters it raised TypeError: unsupported operand",
        "a result with the default parameters",
        "mend what is raised, or let applicable() say why it cannot work on such data",
    ),
    "data set with a third class": (
        dataset("third_class"),
        "its rows are valid",
        "made/third-class: y must lie in 0 .. 1, found 0 .. 2",
        "rows that obey the rules of amulet_core.data.Data",
        "make them with amulet_core.data.make_data(x, y, schema), which checks them",
    ),
    "data set that is a list": (
        dataset("no_data"),
        "its rows are valid",
        "it returned list",
        "Data",
        "return amulet_core.data.make_data(x, y, schema)",
    ),
    "data set that seeds": (
        dataset("rows_seeded"),
        "it never seeds the global generators",
        "under two keys the generator of numpy ended in the same state",
        "two states, as the keys differ",
        "do not seed; simply draw from the global generators, or make a generator of your own from a draw",
    ),
    "data set that draws from the system": (
        dataset("rows_never_the_same"),
        "the same key gives the same bits",
        "on a call with default parameters two runs under one key differ in w of the result",
        "equal bits",
        "draw from the global generators of torch, numpy and random only, and keep nothing between calls",
    ),
    "data set that changes a global setting": (
        dataset("rows_setting"),
        "it leaves global settings alone",
        f"on a call with default parameters it changed the working folder ({Path.cwd()}, then /)",
        "no change",
        "pass dtype, device and the like to the calls that need them, or restore the setting in a finally",
    ),
    "data set of another modality": (
        dataset("rows", modality=("image",)),
        "its schema survives JSON, and its modality is declared",
        "its rows are tabular",
        "what the descriptor's modality says, image",
        'set modality=("tabular",)',
    ),
}


def names(entry):
    return {check.name for check in component_checks(entry)}


@pytest.mark.parametrize(("entry", "check", "found", "expected", "fix"), MUTANTS.values(), ids=MUTANTS)
def test_a_component_that_misbehaves_in_one_way_fails_exactly_one_check(failures, entry, check, found, expected, fix):
    assert failures(component_checks(entry)) == {check: f"found: {found}. Expected: {expected}. To fix it: {fix}."}


@pytest.mark.parametrize("entry", [*WELL_BEHAVED], ids=lambda entry: entry.id)
def test_every_check_of_a_kind_has_a_mutant_that_fails_it(entry):
    assert names(entry) - STATIC <= {check for _, check, *_ in MUTANTS.values()}


@pytest.mark.parametrize("entry", WELL_BEHAVED, ids=lambda entry: entry.id)
def test_a_component_that_behaves_conforms(failures, entry):
    assert failures(component_checks(entry)) == {}


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("absent_rows", "FileNotFoundError: rows: the variable AMULET_DATA is not set"),
        ("refused_rows", "RequestError: rows: there is no such folder"),
    ],
)
def test_of_a_data_set_whose_files_are_absent_nothing_is_checked_that_needs_its_rows(failures, function, reason):
    checks = component_checks(dataset(function))
    assert failures(checks) == {}
    for check in checks:
        if check.name not in STATIC:
            with pytest.raises(NotCheckedError) as error:
                check.run()
            assert str(error.value) == f"not checked, because its rows are not there: {reason}"


@pytest.mark.parametrize("entry", [model("by_hand", clippable=False), model("dropping")], ids=lambda entry: entry.id)
def test_a_model_whose_rows_are_not_clipped_says_so_and_one_with_dropout_need_not(failures, entry):
    assert failures(component_checks(entry)) == {}


def test_of_a_model_that_always_draws_no_row_is_compared():
    (check,) = [one for one in component_checks(model("drawing")) if "clipped" in one.name]
    with pytest.raises(NotCheckedError) as error:
        check.run()
    assert str(error.value) == "not checked, as its answers are drawn at random"


def test_that_rows_can_be_clipped_is_a_warning_as_yet():
    (check,) = [one for one in component_checks(model("by_hand")) if "clipped" in one.name]
    assert check.fails_from == "0.2"
    with pytest.warns(ConformanceWarning, match=r"It is a failure from amulet-framework 0\.2 on\."):
        check.run()
