import pytest
from amulet_core.schema import DataSchema, Feasible

from amulet_plugin_torchattacks.catalogue import COMPONENTS
from amulet_plugin_torchattacks.other_settings import AutoAttackParams, SquareParams

BY_NAME = {component.name: component for component in COMPONENTS}


def images(*shape):
    return DataSchema(modality="image", shape=shape, classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))


def table(**feasible):
    return DataSchema(
        modality="tabular", shape=(3,), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0, **feasible)
    )


def reasons(name, schema, params=None):
    component = BY_NAME[name]
    return component.applicable(params or component.params(), schema)


@pytest.mark.parametrize(
    ("name", "schema", "params", "reason"),
    [
        (
            "pgd",
            table(immutable=(0, 1, 2)),
            None,
            "every feature of this data set is immutable: no input can be changed",
        ),
        (
            "fab",
            table(immutable=(0,), one_hot=((0, 1, 2),)),
            None,
            "every feature of this data set is immutable: no input can be changed",
        ),
        ("pgd", images(8, 8), None, "it needs images of the shape [channels, height, width], these are [8, 8]"),
        (
            "tifgsm",
            images(2, 8, 8),
            None,
            "its filters are made for images of 1 or 3 channels, these have 2",
        ),
        ("pifgsm", images(2, 8, 8), None, "its filters are made for images of 1 or 3 channels, these have 2"),
        (
            "difgsm",
            images(1, 8, 6),
            None,
            "it resizes images as high as wide, of 2 pixels or more, these are 8 by 6",
        ),
        (
            "difgsm",
            images(1, 1, 1),
            None,
            "it resizes images as high as wide, of 2 pixels or more, these are 1 by 1",
        ),
        (
            "square",
            images(1, 4, 4),
            None,
            "its square patches are up to 5 pixels wide and images must have 5 by 5 or more, these are 4 by 4",
        ),
        (
            "square",
            images(1, 6, 20),
            None,
            "its square patches are up to 11 pixels wide and images must have 5 by 5 or more, these are 6 by 20",
        ),
        (
            "autoattack",
            images(1, 4, 4),
            None,
            "its square patches are up to 5 pixels wide and images must have 5 by 5 or more, these are 4 by 4",
        ),
    ],
)
def test_data_that_an_attack_cannot_work_on_is_refused_with_the_reason(name, schema, params, reason):
    assert reason in reasons(name, schema, params)


@pytest.mark.parametrize(
    ("name", "schema", "params"),
    [
        ("pgd", table(immutable=(0,)), None),
        ("apgdt", table(), None),
        ("tifgsm", images(1, 8, 8), None),
        ("tifgsm", images(3, 8, 8), None),
        ("square", images(1, 5, 5), None),
        ("square", images(3, 6, 20), SquareParams(p_init=0.2)),
        ("autoattack", images(1, 4, 4), AutoAttackParams(version="rand")),
    ],
)
def test_data_that_an_attack_can_work_on_is_not_refused(name, schema, params):
    assert reasons(name, schema, params) == []


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("schema", [table(immutable=(0,)), images(1, 6, 20), images(2, 4, 4), images(8, 8)])
def test_a_reason_is_given_wherever_an_attack_does_not_work(name, schema):
    """Runs on what ``applicable`` lets through, whatever the shape, must not end in an error of torchattacks."""
    import torch
    from amulet_core.victims import ProbabilityOracle, WhiteBox
    from torch import nn

    from amulet_plugin_torchattacks import planted
    from amulet_plugin_torchattacks.attack import attack

    component = BY_NAME[name]
    cheap = {"n_queries": 30, "binary_search_steps": 2, "max_iterations": 20, "samples": 8, "version": "rand"}
    params = component.params(**{key: cheap[key] for key in cheap if key in component.params.model_fields})
    if schema.modality not in component.modality or component.applicable(params, schema):
        return
    layers = nn.Flatten(), nn.Linear(torch.Size(schema.shape).numel(), 2)
    model = nn.Sequential(*layers).requires_grad_(False)
    x = torch.rand(6, *schema.shape)
    kind = {"white-box": WhiteBox, "probabilities": ProbabilityOracle, "none": None}[component.access]
    for norm in params.use.norms:
        view = planted.view_of(model, x, model(x).argmax(1), schema, norm=norm, epsilons=(0.1,), kind=kind)
        assert attack(view, params).x.shape == (1, *x.shape)
