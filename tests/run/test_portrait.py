"""A data set in a few lines, and the classes of which it has too few rows."""

import pytest

from amulet_core.configuration.request import DataSettings
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.portrait import data_warnings, portrait
from amulet_core.schema import DataSchema, Feasible, Sensitive

SIZES = DataSettings(train=100, val=20, test=500, aux=10)


def facts(rows: dict[str, int], **more: object) -> DataFacts:
    schema = DataSchema(
        modality="tabular",
        shape=(1, 3),
        classes=tuple(rows),
        sensitive=(Sensitive(name="sex", categories=("f", "m")),),
        feasible=Feasible(low=0, high=1),
    )
    cells = tuple((count // 2, count - count // 2) for count in rows.values())
    return DataFacts(
        data_schema=schema,
        rows=sum(rows.values()),
        content="",
        class_rows=tuple(rows.values()),
        cells=(cells,),
        **more,
    )


def test_a_data_set_is_described_by_its_rows_classes_and_groups() -> None:
    assert portrait(facts({"no": 1501, "yes": 700})) == [
        "data: 2,201 rows without exact duplicates, 3 features",
        "classes: no 1,501, yes 700",
        "sex: f 1,100, m 1,101",
    ]


def test_of_many_classes_the_smallest_and_the_largest_are_told() -> None:
    rows = {str(i): 1000 + i for i in range(11)}
    assert portrait(facts(rows))[1] == "classes: 11, of 1,000 to 1,010 rows each"


@pytest.mark.parametrize(
    ("rows", "warnings"),
    [
        ({"no": 990, "yes": 10}, []),
        (
            {"no": 9910, "yes": 90},
            [
                'the class "yes" has 90 of 10,000 rows (0.9 %), on average 0.9 of the 100 rows of train: too few to say '
                "much of it; merge it with another class in the file, or leave its rows out"
            ],
        ),
        ({str(i): 500 for i in range(100)}, []),
        (
            {"no": 2000, "yes": 2000, "maybe": 0},
            [
                'the class "maybe" has 0 of 4,000 rows (0 %), on average 0 of the 100 rows of train: too few to say much '
                "of it; merge it with another class in the file, or leave its rows out"
            ],
        ),
    ],
)
def test_a_class_of_which_a_part_has_less_than_a_row_is_named(rows: dict[str, int], warnings: list[str]) -> None:
    assert data_warnings(facts(rows), SIZES) == warnings


@pytest.mark.parametrize(("yes", "named"), [(99, True), (100, False)])
def test_a_class_of_less_than_one_row_in_a_hundred_is_named_however_large_the_parts(yes: int, named: bool) -> None:
    found = data_warnings(facts({"no": 10_000 - yes, "yes": yes}), SIZES.model_copy(update={"train": 400}))
    text = (
        f'the class "yes" has {yes} of 10,000 rows (0.99 %): too few to say much of it; merge it with another class in '
        "the file, or leave its rows out"
    )
    assert found == ([text] if named else [])


def test_notes_stand_first_and_of_many_small_classes_ten_are_named() -> None:
    rows = {"most": 100_000} | {str(i): 5 for i in range(13)}
    found = data_warnings(facts(rows, notes=("some were dropped",)), SIZES)
    assert found[0] == "some were dropped"
    assert [text.split('"')[1] for text in found[1:11]] == [str(i) for i in range(10)]
    assert found[11:] == ["3 further classes are as small"]
