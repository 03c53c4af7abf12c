"""What the built-in components cannot do is said before anything is trained: each message, by a plan and nothing else."""

from dataclasses import replace
from functools import cache

import pytest

from amulet_core import run
from amulet_core.components import NoParams
from amulet_core.configuration.chains import doubts, run_problems
from amulet_core.configuration.reading import resolve
from amulet_core.configuration.request import Use
from amulet_core.discovery.entries import Entry
from amulet_core.discovery.registry import discover
from amulet_core.errors import RequestError
from amulet_core.performing.ground import load_data
from amulet_core.planning.facts import facts_of
from amulet_core.planning.plan import plan
from amulet_core.planning.problems import plan_warnings, planned_run

SIZES = {"train": 100, "val": 50, "test": 100, "aux": 50}


@cache
def registry():
    return discover(select="")


@cache
def facts(dataset):
    return facts_of(load_data(resolve({"dataset": dataset, "risks": ["utility"]}, registry())))


@cache
def groups_in_x():
    """Return facts of compas as if 300 of 1,000 rows were of women, 100 of them of the second class, and 200 of men's."""
    known = facts_of(load_data(resolve({"dataset": GROUPS_IN_X, "risks": ["utility"]}, registry())))
    return known.model_copy(update={"class_rows": (700, 300), "cells": (((200, 500), (100, 200)),)})


def planned(**changes):
    raw = {"dataset": "digits", "data": SIZES, "risks": ["utility"], "seeds": 1} | changes
    known = groups_in_x() if raw["dataset"] == GROUPS_IN_X else facts(raw["dataset"])
    return plan(resolve(raw, registry()), known)


def use(name, **params):
    return {"name": name, "params": params}


GROUPS_IN_X = use("compas", sensitive_in_x=True)


def thresholds(val, **params):
    return {"dataset": GROUPS_IN_X, "data": SIZES | {"val": val}, "defenses": [use("threshold-optimizer", **params)]}


def small_groups(female, male):
    return (
        "defenses.0 (threshold-optimizer): builtin/threshold-optimizer: it needs 30 validation rows behind the rates of at "
        f"least 2 groups (sex: Female about {female}, Male about {male}): raise data.val"
    )


def too_few_to_compare(label, used, few):
    return (
        f"defenses.0 ({label}): builtin/{label}: dataset inference compares training rows with validation rows, and has "
        f"{used} of each to go by: 20 are needed; set {few} higher"
    )


def poisoning(attack, **threat):
    return {"poisoning": {"attacks": [attack], "threat": threat}}


def membership(attack, **threat):
    return {"membership-inference": {"attacks": [attack], "threat": threat}}


def needs_features(label, model):
    return (
        f"defenses.0 ({label}): builtin/{label} needs features, which neither builtin/{model} nor a defense before it in "
        f"the chain makes (made so far: {'affine-logits, interval-bounds, layer-chain' if model == 'logistic' else 'nothing'})"
    )


ATTRIBUTES = "risks.attribute-inference.metrics: builtin/attribute-inference:"


def german_credit(threat, *, train):
    data = SIZES | {"train": train}
    return {
        "dataset": "german-credit",
        "data": data,
        "risks": {"attribute-inference": {"attacks": ["attribute-mlp"], "threat": threat}},
    }


REFUSED = {
    "fine-pruning without hidden features": (
        {"model": "logistic", "defenses": ["fine-pruning"]},
        needs_features("fine-pruning", "logistic"),
    ),
    "activation clustering without hidden features": (
        {"model": "logistic", "defenses": ["activation-clustering"]},
        needs_features("activation-clustering", "logistic"),
    ),
    "spectral signatures of a black box": (
        {"model": "sklearn", "defenses": ["spectral-signatures"]},
        needs_features("spectral-signatures", "sklearn"),
    ),
    "more neighbours than rows": (
        {"model": use("sklearn", estimator="knn", neighbours=101)},
        "model: builtin/sklearn: knn asks 101 neighbours, but there are only 100 training rows: lower neighbours, or raise "
        "data.train",
    ),
    "fewer rows of a class than folds": (
        {"model": use("sklearn", estimator="svm-rbf"), "data": SIZES | {"train": 50}},
        "model: builtin/sklearn: svm-rbf needs 5 training rows of each class for its 5-fold cross-validation, but there are "
        "too few of 0 (about 4), 2 (about 4), 7 (about 4), 8 (about 4): raise data.train",
    ),
    "batches larger than the training rows under DP": (
        {"defenses": [use("dp-sgd", batch_size=101)]},
        "defenses.0 (dp-sgd): builtin/dp-sgd: batch_size 101 exceeds the 100 training rows; lower it",
    ),
    "the training's batches, under DP": (
        {"defenses": ["dp-sgd"], "training": {"batch_size": 101}},
        "defenses.0 (dp-sgd): builtin/dp-sgd: batch_size 101 exceeds the 100 training rows; lower it",
    ),
    "a delta that means nothing": (
        {"defenses": [use("dp-sgd", delta=0.01)]},
        "defenses.0 (dp-sgd): builtin/dp-sgd: delta 0.01 is not below 1 / 100 rows: releasing one whole row at random would "
        "satisfy it",
    ),
    "early stopping before the budget has grown": (
        {"defenses": ["ibp"], "training": {"patience": 3}},
        "defenses.0 (ibp): builtin/ibp: early stopping would keep the weights of before the budget has grown, whose plain "
        "loss is least: set training.patience to 0",
    ),
    "groups that no model may see": (
        {
            "dataset": "compas",
            "data": {"train": 20, "val": 10, "test": 20, "aux": 10},
            "defenses": [use("adversarial-debiasing", attribute="race")],
        },
        "defenses.0 (adversarial-debiasing): builtin/adversarial-debiasing: of 20 training rows less than one has race "
        "Asian or Native American or Other; train on more rows, or merge the groups of the data set",
    ),
    "fewer candidates of a value than are measured": (
        german_credit({"attribute": "age", "candidates": 100}, train=200),
        f'{ATTRIBUTES} of 100 candidates about 19 have age "up to 25", and it takes 30 of each of two values to tell '
        "them apart (about 45 where candidates are drawn): set candidates to 236 or more, or choose another attribute",
    ),
    "fewer rows of a value than are measured": (
        german_credit({"attribute": "sex"}, train=48),
        f'{ATTRIBUTES} of 96 candidates about 29.8 have sex "female", and it takes 30 of each of two values to tell them '
        "apart (about 44 where candidates are drawn): set data.train to 49 or more, or choose another attribute",
    ),
    "fewer candidates, and rows, of a value than are measured": (
        german_credit({"attribute": "age", "candidates": 60}, train=30),
        f'{ATTRIBUTES} of 60 candidates about 11.4 have age "up to 25", and it takes 30 of each of two values to tell '
        "them apart (about 45 where candidates are drawn): set candidates to 158 and data.train to 79 or more, or choose another attribute",
    ),
    "too few validation rows for dataset inference": (
        {"defenses": ["dataset-inference"], "data": SIZES | {"val": 19}},
        too_few_to_compare("dataset-inference", 19, "data.val"),
    ),
    "too few training rows for dataset inference": (
        {"defenses": ["dataset-inference"], "data": SIZES | {"train": 12}},
        too_few_to_compare("dataset-inference", 12, "data.train"),
    ),
    "too few rows of both kinds for dataset inference": (
        {"defenses": ["dataset-inference-mingd"], "data": SIZES | {"train": 15, "val": 19}},
        too_few_to_compare("dataset-inference-mingd", 15, "data.train and data.val"),
    ),
    "no row marked": (
        {"defenses": [use("radioactive-data", share=0.009)]},
        "defenses.0 (radioactive-data): builtin/radioactive-data: a share of 0.009 is less than one of 100 training rows, and "
        "no row would be marked: raise share, or data.train",
    ),
    "groups too small for thresholds": (thresholds(99), small_groups(29.7, 69.3)),
    "groups with too few rows of the second class for thresholds": (
        thresholds(299, constraint="equal-opportunity"),
        small_groups(29.9, 59.8),
    ),
    "more rows than there are": (
        {"data": SIZES | {"train": 1000}, "seeds": 3},
        "split: 1 disjoint blocks of 2,200 rows (2 x 1,000 train, 50 val, 100 test, 50 aux) are 2,200 rows, but the data "
        "have 1,797; the largest train that fits is 798",
    ),
    "more disjoint rows than there are": (
        {"data": SIZES | {"design": "disjoint"}, "seeds": 5},
        "split: 5 disjoint blocks of 400 rows (2 x 100 train, 50 val, 100 test, 50 aux) are 2,000 rows, but the data have "
        "1,797; the largest train that fits is 79",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_run_is_refused_before_anything_is_trained(changes, message):
    with pytest.raises(RequestError) as error:
        planned(**changes)
    assert message in error.value.problems


SKIPPED = {
    "labels flipped to what they are": (
        poisoning(use("label-flip", source="3"), target="3"),
        'builtin/label-flip: the source class "3" is the target of the threat model; name another source, or another target '
        "(risks.poisoning.threat.target)",
    ),
    "labels flipped to the first class, the default target": (
        poisoning(use("label-flip", source="0")),
        'builtin/label-flip: the source class "0" is the target of the threat model; name another source, or another target '
        "(risks.poisoning.threat.target)",
    ),
    "more flips than rows of the source": (
        poisoning(use("label-flip", source="8"), rate=0.1),
        'builtin/label-flip: a rate of 0.1 is 10 of 100 training rows, but only about 9 are of the class "8": lower '
        "risks.poisoning.threat.rate, or choose another class",
    ),
    "a patch larger than the image": (
        poisoning(use("badnets", size=9)),
        "builtin/badnets: the trigger is 9x9 pixels, the images are 8x8: set size to 8 or less",
    ),
    "a class that is not there": (
        poisoning(use("label-flip", source="ten")),
        'builtin/label-flip: the data set has no class "ten"; it has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9',
    ),
    "a quantile that too few rows tell": (
        membership(use("quantile", false_positive_rate=0.025), population=39),
        "builtin/quantile: a quantile at the false positive rate 0.025 cannot be told from 39 rows of the adversary's own: "
        "raise population (at most data.aux), or move false_positive_rate towards 0.5",
    ),
    "a quantile that too few rows of aux tell": (
        membership(use("quantile", false_positive_rate=0.999), population=1000),
        "builtin/quantile: a quantile at the false positive rate 0.999 cannot be told from 50 rows of the adversary's own: "
        "raise population (at most data.aux), or move false_positive_rate towards 0.5",
    ),
}


@pytest.mark.parametrize(("risks", "reason"), SKIPPED.values(), ids=SKIPPED)
def test_an_attack_that_cannot_be_played_is_skipped_with_its_reason(risks, reason):
    attack = reason.split(":")[0]
    cells = [cell for cell in planned(risks=risks).cells if cell.attack == attack]
    assert {cell.skipped for cell in cells} == {f"not applicable: {reason}"}


@pytest.mark.parametrize(
    ("changes", "what", "label"),
    [
        ({"class_rows": (2173, 1)}, "class", "no new offence"),
        ({"cells": (((4, 895), (5, 1270)),)}, "sex", "Male"),
    ],
)
def test_exponentiated_gradient_needs_rows_of_two_groups_and_of_both_classes(changes, what, label):
    known = facts("compas").model_copy(update=changes)
    raw = {"dataset": "compas", "data": SIZES, "defenses": ["exponentiated-gradient"], "risks": ["utility"]}
    with pytest.raises(RequestError) as error:
        plan(resolve(raw, registry()), known)
    assert error.value.problems == (
        "defenses.0 (exponentiated-gradient): builtin/exponentiated-gradient: it compares groups of both classes, and of "
        f'100 training rows less than one has another {what} than "{label}": train on more rows',
    )


@pytest.mark.parametrize("attack", ["badnets", "blended", "label-flip"])
def test_rows_of_other_classes_must_suffice_for_the_rate(attack):
    """In Adult without duplicates 26 % are of the class that is not the default target."""
    dataset = "digits" if attack == "blended" else "adult"
    known = facts(dataset)
    raw = {"dataset": dataset, "data": SIZES, "risks": poisoning(attack, rate=0.5), "seeds": 1}
    if dataset == "digits":  # as if nine of ten digits were zeros
        known = known.model_copy(update={"class_rows": (900, *[0] * 8, 100)})
    cells = plan(resolve(raw, registry()), known).cells
    few = {"adult": 26, "digits": 10}[dataset]
    assert {cell.skipped for cell in cells if cell.risk == "poisoning"} == {
        f"not applicable: builtin/{attack}: a rate of 0.5 is 50 of 100 training rows, but only about {few} are of other "
        "classes than the target: lower risks.poisoning.threat.rate, or choose another class"
    }


FINE = {
    "as many neighbours as rows": {"model": use("sklearn", estimator="knn", neighbours=100)},
    "five rows of each class": {"model": use("sklearn", estimator="svm-rbf"), "data": SIZES | {"train": 60}},
    "a batch of all rows under DP": {"defenses": [use("dp-sgd", batch_size=100)]},
    "hidden features": {"model": "cnn", "defenses": ["fine-pruning", "activation-clustering", "spectral-signatures"]},
    "random flips of everything": {"risks": poisoning(use("label-flip", mode="random"), rate=0.5)},
    "as many flips as rows of the source": {"risks": poisoning(use("label-flip", source="3"), rate=0.1)},
    "a quantile that just enough rows tell": {
        "risks": membership(use("quantile", false_positive_rate=0.025), population=40)
    },
    "a target that is no source": {"risks": poisoning(use("label-flip", source="0"), target="3", rate=0.05)},
    "just enough candidates of a value": german_credit({"attribute": "age", "candidates": 158}, train=79),
    "all the rows there are": {"data": SIZES | {"train": 798}},
    "as many rows as dataset inference compares": {
        "defenses": ["dataset-inference", "dataset-inference-mingd"],
        "data": SIZES | {"train": 20, "val": 20},
    },
    "one row marked": {"model": "mlp", "defenses": [use("radioactive-data", share=0.01)]},
    "two groups large enough for thresholds": thresholds(100),
    "two groups with enough rows of the second class": thresholds(300, constraint="equal-opportunity"),
}


@pytest.mark.parametrize("changes", FINE.values(), ids=FINE)
def test_what_just_suffices_is_planned(changes):
    assert not [cell.skipped for cell in planned(**changes).cells if cell.skipped]


TEN = (
    "risks.poisoning: builtin/{}: a rate of {:g} is {} of 100 training rows, beside about 10 of the target class: poison "
    "may be {}% of it, and "
)
WARNED = {
    "poison of the size of the class beside it": (
        "activation-clustering",
        {"rate": 0.1},
        TEN.format("activation-clustering", 0.1, 10, 50.2) + "no cluster of more than 35% is suspected: lower "
        "risks.poisoning.threat.rate to 0.053 or less",
    ),
    "a cluster a little too large": (
        use("activation-clustering", largest_share=0.3),
        {"rate": 0.05},
        TEN.format("activation-clustering", 0.05, 5, 33.5) + "no cluster of more than 30% is suspected: lower "
        "risks.poisoning.threat.rate to 0.042 or less, or raise largest_share to 0.34 or more",
    ),
    "poison that is no minority": (
        "spectral-signatures",
        {"rate": 0.1},
        TEN.format("spectral-signatures", 0.1, 10, 50.2) + "what is no minority has no direction of its own: lower "
        "risks.poisoning.threat.rate below 0.099",
    ),
    "less poison expected than allowed": (
        use("spectral-signatures", share=0.02),
        {"rate": 0.05},
        TEN.format("spectral-signatures", 0.05, 5, 33.5) + "at most 3 of its rows will go: raise share to 0.05",
    ),
    "too little removed of a class": (
        use("spectral-signatures", largest_share=0.2),
        {"rate": 0.05},
        TEN.format("spectral-signatures", 0.05, 5, 33.5) + "at most 2 of its rows will go: raise largest_share to 0.5",
    ),
    "both": (
        use("spectral-signatures", share=0.01, largest_share=0.2),
        {"rate": 0.05},
        TEN.format("spectral-signatures", 0.05, 5, 33.5)
        + "at most 1 of its rows will go: raise share to 0.05 and raise largest_share to 0.5",
    ),
}


@pytest.mark.parametrize(("defense", "threat", "warning"), WARNED.values(), ids=WARNED)
def test_a_threat_that_a_defense_cannot_stand_is_warned_of_once_and_nothing_is_refused(defense, threat, warning):
    name = defense if isinstance(defense, str) else defense["name"]
    made = planned(defenses=[defense, ["label-smoothing", defense]], risks=poisoning("badnets", **threat))
    assert made.warnings == (warning,)
    assert name in {cell.row for cell in made.cells if not cell.skipped}


@pytest.mark.parametrize(
    ("dataset", "threat"), [("digits", {"rate": 0.05}), ("digits", {"rate": 0}), ("adult", {"rate": 0.1})]
)
def test_a_threat_that_defenses_can_stand_is_not_warned_of(dataset, threat):
    defenses = ["activation-clustering", "spectral-signatures", "outlier-removal"]
    assert planned(dataset=dataset, defenses=defenses, risks=poisoning("badnets", **threat)).warnings == ()


def test_warnings_of_a_plan_are_shown_at_once_and_stand_in_the_provenance(capsys, tmp_path):
    raw = {"dataset": "digits", "data": SIZES, "seeds": 1, "training": {"epochs": 1}, "model": "mlp"}
    raw |= {"defenses": ["spectral-signatures"], "risks": poisoning("badnets", rate=0.1)}
    results = run(raw, registry=registry(), cache=tmp_path)
    assert results.provenance.warnings == (WARNED["poison that is no minority"][2],)
    assert capsys.readouterr().err.count(f"warning: {WARNED['poison that is no minority'][2]}") == 1


def test_a_defense_whose_answer_fails_is_named_in_a_warning():
    component = (
        registry()
        .find("defense", "spectral-signatures")
        .component.model_copy(update={"outmatched": lambda params, planned: planned.train / 0})
    )
    entry = Entry(component, plugin="made", distribution="amulet-plugin-made", version="1.0")
    request = resolve({"dataset": "digits", "data": SIZES, "risks": ["utility"]}, registry())
    assert doubts(Use(entry, NoParams()), planned_run(request, facts("digits")), "risks.poisoning") == [
        "risks.poisoning: made/spectral-signatures: its outmatched() failed: ZeroDivisionError: division by zero. Update "
        "or report amulet-plugin-made."
    ]


@pytest.mark.parametrize("risk", ["utility", "poisoning"])
def test_a_defense_is_warned_of_in_its_own_risk_alone(risk):
    request = resolve({"dataset": "digits", "data": SIZES, "risks": [risk], "defenses": ["fine-pruning"]}, registry())
    component = registry().find("defense", "fine-pruning").component
    helpless = component.model_copy(update={"outmatched": lambda params, planned: ["never"]})
    chain = (Use(Entry(helpless, plugin="made", distribution="made", version="1.0"), NoParams()),)
    known = plan_warnings(replace(request, rows=(replace(request.rows[-1], chain=chain),)), facts("digits"))
    assert known == (("risks.poisoning: made/fine-pruning: never",) if risk == "poisoning" else ())


def test_a_data_set_of_one_class_is_refused():
    known = facts("digits").model_copy(update={"class_rows": (1797, *[0] * 9)})
    with pytest.raises(RequestError) as error:
        plan(resolve({"dataset": "digits", "data": SIZES, "risks": ["utility"]}, registry()), known)
    assert error.value.problems == ('split: all 1,797 rows are of one class, "0"; a classifier needs two',)


def test_candidates_of_one_value_are_refused():
    changes = german_credit({"attribute": "sex"}, train=200)
    known = facts("german-credit")
    (female, male), age = zip(*known.cells[0], strict=True), known.cells[1]
    of_one = tuple((0, one + other) for one, other in zip(female, male, strict=True))
    with pytest.raises(RequestError) as error:
        plan(resolve(changes, registry()), known.model_copy(update={"cells": (of_one, age)}))
    assert error.value.problems == (
        f"{ATTRIBUTES} all rows of the data set have one and the same sex: choose another attribute",
    )


def test_facts_count_classes_and_groups():
    found = facts("german-credit")
    assert found.class_rows == (300, 700)
    assert found.group_rows == ((310, 690), (190, 810))


def test_a_component_whose_answer_fails_is_named():
    component = (
        registry()
        .find("model", "mlp")
        .component.model_copy(update={"impossible": lambda params, planned: planned.train / 0})
    )
    entry = Entry(component, plugin="made", distribution="amulet-plugin-made", version="1.0")
    request = resolve({"dataset": "digits", "data": SIZES, "risks": ["utility"]}, registry())
    assert run_problems(Use(entry, NoParams()), planned_run(request, facts("digits")), "model") == [
        "model: made/mlp: its impossible() failed: ZeroDivisionError: division by zero. Update or report amulet-plugin-made."
    ]


def test_an_audit_of_fewer_rows_is_none_of_the_business_of_a_defense_that_only_verifies():
    """Its model trains on 18 rows where 2 of 4 coins say no; dataset inference never looks at that model."""
    risks = {
        "privacy-audit": {"attacks": ["loss-threshold"], "threat": {"canaries": 4, "guessed_in": 1, "guessed_out": 1}}
    }
    chain = ["dataset-inference", use("dp-sgd", batch_size=10)]
    found = planned(
        data=SIZES | {"train": 20}, defenses=[{"label": "both", "chain": chain}], members_alone=False, risks=risks
    )
    assert {cell.skipped for cell in found.cells if (cell.row, cell.risk) == ("both", "privacy-audit")} == {""}
