import pytest
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import discover
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.problems import attack_problems
from amulet_core.schema import DataSchema, Feasible

from amulet_plugin_art import attacks, defenses

BY_NAME = {component.name: component for component in (*attacks.COMPONENTS, *defenses.COMPONENTS)}


def images(*shape, **feasible):
    return DataSchema(
        modality="image", shape=shape, classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0, **feasible)
    )


def table(**feasible):
    return DataSchema(
        modality="tabular", shape=(3,), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0, **feasible)
    )


FIXED = "every feature of this data set is immutable: no input can be changed"
FLAT = "it needs images of the shape [channels, height, width], these are [8, 8]"


@pytest.mark.parametrize(
    ("name", "schema", "reasons"),
    [
        ("hop-skip-jump", table(immutable=(0, 1, 2)), [FIXED]),
        ("simba", table(immutable=(0,), one_hot=((0, 1, 2),)), [FIXED]),
        ("simba", images(8, 8), [FLAT]),
        ("boundary-distance", images(8, 8), [FLAT]),
        ("spatial-smoothing", images(8, 8), [FLAT]),
        ("gaussian-augmentation", images(8, 8), [FLAT]),
        ("clean-label-backdoor", images(8, 8), [FLAT]),
        (
            "clean-label-backdoor",
            images(1, 3, 9),
            ["its pattern needs images of 4 by 4 pixels or more, these are 3 by 9"],
        ),
        (
            "clean-label-backdoor",
            images(1, 8, 8, immutable=(5, 6)),
            ["its pattern changes pixels, and 2 of these images are immutable"],
        ),
        (
            "spatial-smoothing",
            images(1, 2, 9),
            ["its window is 3 by 3 pixels, the images are 2 by 9: set window to less"],
        ),
    ],
)
def test_data_that_a_component_cannot_work_on_is_refused_with_the_reason(name, schema, reasons):
    component = BY_NAME[name]
    assert component.applicable(component.params(), schema) == reasons


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("hop-skip-jump", table(immutable=(0,))),
        ("boundary-distance", table(immutable=(0, 1, 2))),
        ("clean-label-backdoor", images(3, 4, 4)),
        ("spatial-smoothing", images(1, 3, 3)),
        ("gaussian-augmentation", table(one_hot=((0, 1, 2),))),
    ],
)
def test_data_that_a_component_can_work_on_is_not_refused(name, schema):
    component = BY_NAME[name]
    assert component.applicable(component.params(), schema) == []


@pytest.mark.parametrize("name", ["feature-squeezing", "spatial-smoothing"])
def test_what_changes_inputs_leaves_no_affine_logits(name):
    raw = {
        "dataset": "digits",
        "model": "logistic",
        "defenses": [f"art/{name}"],
        "risks": {"unauthorized-model-ownership": {"attacks": ["equation-solving"]}},
    }
    request = resolve(raw, discover())
    (risk,) = [one for one in request.risks if one.game.risk == "unauthorized-model-ownership"]
    (use,) = [one for one in risk.attacks if one.entry.component.name == "equation-solving"]
    facts = DataFacts(data_schema=images(1, 8, 8), rows=2000, content="", class_rows=(1000, 1000))
    assert list(attack_problems(request, facts, request.rows[-1], risk, use)) == [
        f"builtin/equation-solving needs a model with affine-logits, and those that art/{name} makes have none"
    ]
