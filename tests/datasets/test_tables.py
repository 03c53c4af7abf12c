"""The embedded tables: known counts, the way from the source into the repository, and what becomes of each column."""

import subprocess
import sys
from collections.abc import Callable
from lzma import decompress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from amulet_core.data import Data, bounds
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_plugins_builtin.catalogue.datasets import AdultParams, CompasParams, GermanCreditParams
from amulet_plugins_builtin.datasets.adult import adult
from amulet_plugins_builtin.datasets.compas import compas
from amulet_plugins_builtin.datasets.german_credit import german_credit
from amulet_plugins_builtin.datasets.tables import age_groups, codes, read

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "amulet_plugins_builtin" / "datasets"
TABLES = {
    "adult": (adult, AdultParams),
    "compas": (compas, CompasParams),
    "german_credit": (german_credit, GermanCreditParams),
}


def load(name: str, **params: object) -> Data:
    loader, settings = TABLES[name]
    return loader(settings(**params))


def test_adults_age_groups_end_at_25_45_and_65() -> None:
    data = load("adult", sensitive_in_x=True)
    years = data.x[:, data.schema.features.index("age")]
    expected = (years > 25).long() + (years > 45).long() + (years > 65).long()
    assert torch.equal(data.z[:, 2], expected)
    assert data.schema.sensitive[2] == Sensitive(
        name="age",
        categories=("up to 25", "26 to 45", "46 to 65", "over 65"),
        features=data.schema.columns("age"),
    )


def test_an_age_group_ends_with_its_last_year() -> None:
    group = age_groups(pd.Series([18, 25, 26, 45, 46, 96]), upper=(25, 45))
    assert group.labels == ("up to 25", "26 to 45", "over 45")
    assert group.values.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("sensitive_in_x", [False, True])
def test_every_row_is_feasible(name: str, sensitive_in_x: bool) -> None:
    data = load(name, sensitive_in_x=sensitive_in_x)
    feasible = data.schema.feasible
    low, high = bounds(data.schema)
    assert ((data.x >= low) & (data.x <= high)).all()
    for group in feasible.one_hot:
        assert torch.equal(data.x[:, group].sum(1), torch.ones(len(data)))
        assert torch.equal(data.x[:, group].max(1).values, torch.ones(len(data)))
        assert set(group) <= set(feasible.immutable)
    assert torch.equal(data.x, data.x.round())
    assert set(feasible.integer) | {i for group in feasible.one_hot for i in group} == set(range(data.schema.width))


@pytest.mark.parametrize(
    ("name", "mutable"),
    [
        ("adult", ["capital-gain", "capital-loss", "hours-per-week"]),
        ("compas", ["juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count"]),
        ("german_credit", ["month", "credit_amount"]),
    ],
)
def test_only_what_nobody_can_check_is_mutable(name: str, mutable: list[str]) -> None:
    schema = load(name, sensitive_in_x=True).schema
    fixed = set(schema.feasible.immutable)
    assert [feature for i, feature in enumerate(schema.features) if i not in fixed] == mutable


@pytest.mark.parametrize(
    ("name", "sensitive"),
    [("adult", {"sex", "race", "age"}), ("compas", {"sex", "race"}), ("german_credit", {"personal_status", "age"})],
)
def test_sensitive_columns_are_inputs_only_on_request(name: str, sensitive: set[str]) -> None:
    without, with_ = (
        {feature.split("=")[0] for feature in load(name, sensitive_in_x=asked).schema.features}
        for asked in (False, True)
    )
    assert with_ - without == sensitive
    assert not without & sensitive


@pytest.mark.parametrize(
    ("name", "attribute", "column", "one_hot"),
    [
        ("adult", "sex", "sex", True),
        ("adult", "race", "race", True),
        ("adult", "age", "age", False),
        ("compas", "race", "race", True),
        ("german_credit", "sex", "personal_status", False),
    ],
)
def test_the_schema_says_which_features_hold_a_sensitive_attribute(
    name: str, attribute: str, column: str, one_hot: bool
) -> None:
    without, data = (load(name, sensitive_in_x=among) for among in (False, True))
    names = [one.name for one in data.schema.sensitive]
    index = names.index(attribute)
    assert without.schema.sensitive[index].features == ()
    features = data.schema.sensitive[index].features
    assert [data.schema.features[i].split("=")[0] for i in features] == [column] * len(features)
    assert features == data.schema.columns(column)
    assert data.schema.one_hot_of(index) == (features if one_hot else ())
    if one_hot:
        assert torch.equal(data.x[:, list(features)].argmax(1), data.z[:, index])


def test_compas_says_that_age_is_among_its_inputs_by_default() -> None:
    schema = load("compas").schema
    assert schema.sensitive[2].features == schema.columns("age") == (6,)


@pytest.mark.parametrize("order", [("f", "m"), ("m", "f")])
def test_features_in_another_order_than_the_values_are_not_one_hot_for_them(order: tuple[str, str]) -> None:
    schema = DataSchema(
        modality="tabular",
        shape=(3,),
        classes=("a", "b"),
        sensitive=(Sensitive(name="sex", categories=order, features=(1, 2)),),
        feasible=Feasible(low=0.0, high=1.0, one_hot=((1, 2),)),
        features=("size", "sex=f", "sex=m"),
    )
    assert schema.one_hot_of(0) == ((1, 2) if order == ("f", "m") else ())


def test_a_sensitive_attribute_cannot_be_held_by_a_feature_that_is_not_there() -> None:
    with pytest.raises(ValidationError, match=r"sensitive\.sex names the features \[7\], but there are only 3"):
        DataSchema(
            modality="tabular",
            shape=(3,),
            classes=("a", "b"),
            sensitive=(Sensitive(name="sex", categories=("f", "m"), features=(0, 7)),),
            feasible=Feasible(low=0.0, high=1.0),
        )


def test_dropped_columns_are_no_inputs_and_stay_groups() -> None:
    dropped = ("relationship", "marital-status")
    data, whole = load("adult", drop=dropped), load("adult")
    kept = [i for i, feature in enumerate(whole.schema.features) if not feature.startswith(dropped)]
    assert torch.equal(data.x, whole.x[:, kept])
    assert torch.equal(data.z, whole.z)
    assert data.schema.features == tuple(whole.schema.features[i] for i in kept)


def test_a_column_dropped_twice_is_an_error() -> None:
    with pytest.raises(ValidationError, match="drop names race, sex more than once"):
        AdultParams(drop=("race", "sex", "race", "sex"))


def test_an_unknown_column_to_drop_is_an_error() -> None:
    with pytest.raises(ValidationError, match="Input should be 'workclass', 'education-num'"):
        AdultParams(drop=("fnlwgt",))


@pytest.mark.parametrize(("params", "columns"), [(AdultParams, 9), (CompasParams, 6), (GermanCreditParams, 18)])
def test_one_column_must_be_left(params: type[AdultParams], columns: int) -> None:
    names = params.model_fields["drop"].annotation.__args__[0].__args__
    params(drop=names[: columns - 1])
    with pytest.raises(ValidationError, match="at most"):
        params(drop=names[:columns])


def test_unknown_values_are_a_category() -> None:
    data = load("adult")
    counts = {
        feature.split("=")[0]: int(data.x[:, i].sum())
        for i, feature in enumerate(data.schema.features)
        if feature.endswith("=unknown")
    }
    assert counts == {"workclass": 2799, "occupation": 2809, "native-country": 857}


@pytest.mark.parametrize("name", TABLES)
def test_a_second_call_gives_the_same_rows_under_the_same_ids(name: str) -> None:
    first, second = load(name), load(name)
    assert torch.equal(first.id, second.id)
    assert torch.equal(first.id, torch.arange(len(first)))
    assert torch.equal(first.x, second.x)


@pytest.mark.parametrize("name", TABLES)
def test_x_says_what_the_table_says(name: str) -> None:
    data, frame = load(name, sensitive_in_x=True), read(name)
    for place, feature in enumerate(data.schema.features):
        column, _, label = feature.partition("=")
        expected = (frame[column] == label) if label else frame[column]
        assert np.array_equal(data.x[:, place].numpy(), expected.to_numpy(dtype=np.float32)), feature


def test_a_value_that_the_codebook_lacks_is_an_error() -> None:
    with pytest.raises(ValueError) as raised:
        codes(pd.Series(["Male", "Mail"], name="sex"), ("Female", "Male"))
    assert str(raised.value) == "the column sex holds values that its codebook lacks: ['Mail']"


@pytest.mark.parametrize("name", TABLES)
def test_an_embedded_table_is_small(name: str) -> None:
    assert (EMBEDDED / f"{name}.csv.xz").stat().st_size < 300_000


def make(table: str, source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "make_tables.py"), table, str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", TABLES)
def test_the_script_makes_the_embedded_table(name: str, original: Callable[[str], Path], tmp_path: Path) -> None:
    made = tmp_path / "table.csv.xz"
    run = make(name.replace("_", "-"), original(f"{name}.csv.gz"), made)
    assert run.returncode == 0, run.stderr
    # Other versions of liblzma may pack the same text into other bytes.
    assert decompress(made.read_bytes()) == decompress((EMBEDDED / f"{name}.csv.xz").read_bytes())


def test_the_script_explains_wrong_arguments(tmp_path: Path) -> None:
    run = make("adults", tmp_path, tmp_path)
    assert run.returncode == 2
    assert "python tools/make_tables.py adult|compas|german-credit SOURCE TARGET" in run.stderr


@pytest.mark.parametrize("name", TABLES)
def test_every_embedded_cell_is_the_originals(name: str, original: Callable[[str], Path]) -> None:
    source, embedded = pd.read_csv(original(f"{name}.csv.gz"), keep_default_na=False), read(name)
    if name == "compas":
        days = pd.to_numeric(source["days_b_screening_arrest"])
        source = source[(days >= -30) & (days <= 30)].reset_index(drop=True)
    assert len(source) == len(embedded)
    for column in embedded.columns:
        assert (source[column].replace("", "unknown") == embedded[column]).all(), column


def test_the_level_of_education_says_what_its_name_says(original: Callable[[str], Path]) -> None:
    source = pd.read_csv(original("adult.csv.gz"))
    pairs = source[["education", "education-num"]].drop_duplicates()
    assert len(pairs) == pairs["education"].nunique() == pairs["education-num"].nunique() == 16
