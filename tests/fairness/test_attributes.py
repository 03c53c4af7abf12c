"""Which sensitive attribute is meant; a mistake about it is said once."""

import pytest

from amulet_core.configuration.chains import data_problems
from amulet_core.configuration.request import Use
from amulet_core.discovery.registry import discover
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.fairness.attributes import attribute_column


def schema(*names):
    return DataSchema(
        modality="tabular",
        shape=(1,),
        classes=("no", "yes"),
        sensitive=tuple(Sensitive(name=name, categories=("a", "b")) for name in names),
        feasible=Feasible(low=0.0, high=1.0),
    )


def use(kind, name, **params):
    entry = discover(select="").find(kind, name)
    return Use(entry, entry.component.params(**params))


@pytest.mark.parametrize("name", ["reweighing", "adversarial-debiasing"])
@pytest.mark.parametrize("attribute", ["", "sex"])
def test_data_without_a_sensitive_attribute_are_refused_once(name, attribute):
    assert data_problems(use("defense", name, attribute=attribute), schema(), "defenses.0") == [
        f"defenses.0: builtin/{name} needs a sensitive attribute, and the data set declares none"
    ]


@pytest.mark.parametrize("name", ["reweighing", "adversarial-debiasing"])
def test_an_attribute_that_the_data_do_not_have_is_named_beside_those_they_have(name):
    assert data_problems(use("defense", name, attribute="age"), schema("sex", "race"), "defenses.0") == [
        f'defenses.0: builtin/{name}: the data set has no sensitive attribute "age"; it has sex, race'
    ]


def test_the_metric_says_once_that_there_is_no_attribute():
    assert data_problems(use("metric", "group-fairness"), schema(), "metrics.0") == [
        "metrics.0: builtin/group-fairness needs a sensitive attribute, and the data set declares none"
    ]


def test_the_column_of_an_attribute_is_its_place_and_the_first_if_none_is_named():
    assert [attribute_column(name, schema("sex", "race")) for name in ("", "sex", "race")] == [0, 0, 1]


def test_without_any_attribute_there_is_no_column():
    with pytest.raises(ValueError, match="sensitive") as error:
        attribute_column("", schema())
    assert str(error.value) == "the data set declares no sensitive attribute"
