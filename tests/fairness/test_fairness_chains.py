"""Fairness defenses in whole runs: what is refused beforehand, what composes, and what comes back from the cache."""

import pytest

import amulet_core as amulet
from amulet_core.components import Defense, NoParams
from amulet_core.configuration.chains import chain_problems
from amulet_core.configuration.reading import resolve
from amulet_core.configuration.request import Use
from amulet_core.discovery.entries import Entry
from amulet_core.errors import RequestError
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.settings import TrainingSettings
from amulet_plugins_builtin.catalogue.fairness_defenses import DEFENSES

DEFENSE = {defense.name: defense for defense in DEFENSES}


def config(*defenses, in_x=True, **changes):
    return {
        "dataset": {"name": "adult", "params": {"sensitive_in_x": in_x}},
        "model": "logistic",
        "training": {"epochs": 2},
        "data": {"train": 200, "val": 200, "test": 200, "aux": 20},
        "defenses": [*defenses],
        "risks": ["discriminatory-behavior"],
        "seeds": 1,
    } | changes


def problems(*defenses, **changes):
    with pytest.raises(RequestError) as raised:
        amulet.run(config(*defenses, **changes))
    return raised.value.problems


DP = {"name": "dp-sgd", "params": {"conditional_on": ["exponentiated-gradient"]}}
NEVER = {
    "a privacy account": (
        ["exponentiated-gradient", DP],
        "builtin/exponentiated-gradient: it trains several models on the same rows, and dp-sgd accounts for one: leave "
        "one out",
    ),
    "other weights": (
        ["reweighing", "exponentiated-gradient"],
        "builtin/exponentiated-gradient: it sets the weights of the rows itself, which reweighing does too: leave one out",
    ),
    "thresholds for members": (
        ["threshold-optimizer", "exponentiated-gradient"],
        "builtin/exponentiated-gradient: thresholds are set for the finished model: let threshold-optimizer stand after it",
    ),
    "a stop for members": (
        ["early-stopping", "exponentiated-gradient"],
        "builtin/exponentiated-gradient: its members know no early stopping, as the validation rows carry other labels "
        "than those they learn: leave early-stopping out",
    ),
    "bounds of a layer": (
        ["correlation-remover", "ibp"],
        "builtin/correlation-remover: ibp needs interval bounds, which do not go through its layer: leave one out",
    ),
    "a layer before thresholds": (
        ["threshold-optimizer", "correlation-remover"],
        "builtin/correlation-remover: it changes the architecture that threshold-optimizer puts inside another: let it "
        "stand before threshold-optimizer",
    ),
    "a layer before a mixture": (
        ["exponentiated-gradient", "correlation-remover"],
        "builtin/correlation-remover: it changes the architecture that exponentiated-gradient puts inside another: let "
        "it stand before exponentiated-gradient",
    ),
}


@pytest.mark.parametrize(
    ("chain", "problem"),
    [
        (
            [wrapper, "fine-pruning"],
            f"builtin/fine-pruning needs features, and the models that builtin/{wrapper} makes have none",
        )
        for wrapper in ("exponentiated-gradient", "threshold-optimizer")
    ]
    + [
        (
            chain,
            "builtin/correlation-remover: spectral-signatures needs hidden features, which are out of reach behind its "
            "layer: leave one out",
        )
        for chain in (["correlation-remover", "spectral-signatures"], ["spectral-signatures", "correlation-remover"])
    ],
)
def test_what_reads_hidden_features_is_refused_where_a_wrapper_hides_them(chain, problem):
    assert problems(chain, model="mlp") == (f"defenses.0 ({' + '.join(chain)}): {problem}",)


def test_what_reads_hidden_features_may_stand_inside_a_wrapper():
    resolve(config(["fine-pruning", "exponentiated-gradient"], model="mlp"), amulet.discover())


@pytest.mark.parametrize("case", NEVER)
def test_chains_that_make_no_sense_are_refused_before_anything_runs(case):
    chain, reason = NEVER[case]
    label = " + ".join(one if isinstance(one, str) else one["name"] for one in chain)
    assert problems({"label": "row", "chain": chain}) == (f"defenses.0 (row): {reason}",), label


def test_a_mixture_of_members_that_stop_early_is_refused_before_anything_runs():
    found = problems("exponentiated-gradient", training={"epochs": 2, "patience": 1})
    assert found == (
        "defenses.0 (exponentiated-gradient): builtin/exponentiated-gradient: its members know no early stopping, as the "
        "validation rows carry other labels than those they learn: set training.patience to 0",
    )


@pytest.mark.parametrize(
    "chain",
    [
        ["correlation-remover", "exponentiated-gradient", "threshold-optimizer"],
        ["adversarial-training", "exponentiated-gradient"],
        ["exponentiated-gradient", "adversarial-debiasing"],
        ["reweighing", "correlation-remover", "adversarial-training", "threshold-optimizer"],
    ],
)
def test_other_chains_are_taken(chain):
    resolve(config(chain), amulet.discover())


def made(**fields):
    """Return the descriptor of a defense made for a test."""
    return Defense(
        name="made",
        summary="A defense made for a test.",
        target="math:sqrt",
        stages={"training": "math:sqrt"},
        risk="membership-inference",
        **fields,
    )


def test_a_plugins_account_of_privacy_is_refused_too():
    own, private = DEFENSE["exponentiated-gradient"], made(accounts_privacy=True)
    (reason,) = own.beside(own.params(), (own, private))
    assert reason == "it trains several models on the same rows, and made accounts for one: leave one out"
    assert own.beside(own.params(), (own,)) == []


def test_a_beside_that_fails_is_told_by_name():
    def failing(_params, _chain):
        raise KeyError("nobody")

    entry = Entry(made(beside=failing), plugin="toy", distribution="amulet-plugin-toy", version="1.0")
    use = Use(entry, NoParams())
    assert chain_problems([use], TrainingSettings(), use) == [
        "toy/made: its beside() failed: KeyError: 'nobody'. Update or report amulet-plugin-toy."
    ]


def schema(**changes):
    features = changes.pop("features", ())
    fields = {
        "modality": "tabular",
        "shape": (4,),
        "classes": ("no", "yes"),
        "sensitive": (
            Sensitive(name="sex", categories=("f", "m"), features=features),
            Sensitive(name="race", categories=("p", "q"), features=(2, 3)),
        ),
        "feasible": Feasible(low=0.0, high=1.0, one_hot=((2, 3),)),
    }
    return DataSchema(**fields | changes)


THREE = "it works on two classes, and the data set has 3: choose another defense or data set"
OUTSIDE = (
    'it must know the group of each row that it answers, and the sensitive attribute "sex" is {}; attributes it can '
    "read: race: put the sensitive columns among the inputs (sensitive_in_x, where the data set has it) or choose "
    "another attribute or defense"
)
UNKNOWN = 'the data set has no sensitive attribute "age"; it has sex, race'
APPLICABLE = {
    "gradient": ("exponentiated-gradient", {}, {}, []),
    "gradient, three classes": ("exponentiated-gradient", {}, {"classes": ("a", "b", "c")}, [THREE]),
    "gradient, unknown": ("exponentiated-gradient", {"attribute": "age"}, {}, [UNKNOWN]),
    "thresholds": ("threshold-optimizer", {"attribute": "race"}, {}, []),
    "thresholds, three classes": ("threshold-optimizer", {"attribute": "race"}, {"classes": ("a", "b", "c")}, [THREE]),
    "thresholds, unknown": ("threshold-optimizer", {"attribute": "age"}, {}, [UNKNOWN]),
    "thresholds, not in x": ("threshold-optimizer", {}, {}, [OUTSIDE.format("not among the inputs")]),
    "thresholds, as a number": (
        "threshold-optimizer",
        {},
        {"features": (0,)},
        [OUTSIDE.format("among the inputs, but not as one feature for each of its values")],
    ),
    "remover": ("correlation-remover", {"attribute": "race"}, {"classes": ("a", "b", "c")}, []),
    "remover, not in x": ("correlation-remover", {}, {}, [OUTSIDE.format("not among the inputs")]),
}


@pytest.mark.parametrize("case", APPLICABLE)
def test_what_the_data_must_have_is_known_beforehand(case):
    name, params, changes, expected = APPLICABLE[case]
    component = DEFENSE[name]
    assert component.applicable(component.params(**params), schema(**changes)) == expected


@pytest.mark.parametrize("name", ["threshold-optimizer", "correlation-remover"])
def test_adult_without_its_sensitive_columns_is_refused_before_anything_runs(name):
    assert problems(name, in_x=False) == (
        f"defenses.0 ({name}): builtin/{name}: it must know the group of each row that it answers, and the sensitive "
        'attribute "sex" is not among the inputs: put the sensitive columns among the inputs (sensitive_in_x, where the '
        "data set has it) or choose another attribute or defense",
    )


ROWS = (
    {"label": "gradient", "chain": [{"name": "exponentiated-gradient", "params": {"max_iter": 2}}]},
    {"label": "thresholds", "chain": ["threshold-optimizer"]},
    {"label": "remover", "chain": ["correlation-remover"]},
    {
        "label": "all",
        "chain": [
            "adversarial-training",
            "correlation-remover",
            {"name": "exponentiated-gradient", "params": {"max_iter": 1}},
            "threshold-optimizer",
        ],
    },
)


def test_a_run_with_all_of_them_comes_back_from_the_cache_without_a_model_trained_anew(monkeypatch):
    attacks = {"evasion": {"attacks": ["fgsm"]}}
    first = amulet.run(config(*ROWS))
    assert {cell.status for cell in first.cells} == {"ok"}
    assert first.provenance.warnings == ()
    assert set(first.provenance.evidence["all"]) == {
        "correlation-remover",
        "exponentiated-gradient",
        "threshold-optimizer",
    }
    monkeypatch.setattr(
        "amulet_core.performing.perform.fit_recipe", lambda *_: pytest.fail("a model was trained again")
    )
    again = amulet.run(config(*ROWS))
    assert again.frame.equals(first.frame)
    # Attacks are new: the victims they are played on come from the cache.
    more = amulet.run(config(*ROWS, risks=attacks))
    assert {cell.status for cell in more.cells} == {"ok"}
