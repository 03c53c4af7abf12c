"""The descriptors of data sets and architectures: light to import, complete, and true of what they point to."""

import subprocess
import sys
from importlib import import_module

import pytest

from amulet_core.components import Component
from amulet_plugins_builtin.catalogue import datasets, models

COMPONENTS = (*datasets.COMPONENTS, *models.COMPONENTS)


def named(component: Component) -> str:
    return component.name


def test_reading_the_catalogue_imports_nothing_heavy() -> None:
    code = (
        "import sys, amulet_plugins_builtin.catalogue.datasets, amulet_plugins_builtin.catalogue.models;"
        "print(sorted({'torch', 'numpy', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_promised_data_sets_and_architectures_are_there() -> None:
    names = [component.name for component in COMPONENTS]
    assert names == ["adult", "compas", "german-credit", "digits", "mnist", "fashion-mnist", "mlp", "cnn"]


@pytest.mark.parametrize("component", COMPONENTS, ids=named)
def test_a_descriptor_is_complete(component: Component) -> None:
    module, function = component.target.split(":")
    assert callable(getattr(import_module(module), function))
    assert component.references
    assert all(field.description for field in component.params.model_fields.values())
    params = component.params()
    assert component.params.model_validate_json(params.model_dump_json()) == params


@pytest.mark.parametrize("component", [c for c in datasets.COMPONENTS if not c.target.endswith("mnist")], ids=named)
def test_a_data_set_has_the_modality_it_declares(component: Component) -> None:
    module, function = component.target.split(":")
    data = getattr(import_module(module), function)(component.params())
    assert component.modality == (data.schema.modality,)
