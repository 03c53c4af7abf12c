"""Conformance of data sets: valid rows, the same ones every time, under a schema that survives JSON."""

from collections.abc import Callable
from functools import partial
from typing import Any

from amulet_core.configuration.request import Use
from amulet_core.data import Data, checked
from amulet_core.errors import RequestError, cause_of
from amulet_core.schema import DataSchema
from amulet_core.testing.findings import TARGETS, ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.manners import RUNS, Trial, manners, trial

VALID = "its rows are valid"


def dataset_checks(component: str, use: Use) -> tuple[ConformanceCheck, ...]:
    """Return the checks of a data set; those that need its rows are not made where its files are not there."""
    one = trial("a call with default parameters", lambda: (partial(use.entry.load(), use.params), {}))

    def trials() -> list[Trial]:
        return [one]

    def present(examine: Callable[[], str | None]) -> str | None:
        try:
            use.entry.load()
        except RequestError as error:
            raise NotCheckedError(f'not checked, because "{TARGETS}" fails') from error
        absence = _absence(one)
        if absence:
            raise NotCheckedError(f"not checked, because its rows are not there: {absence}")
        return examine()

    def rows() -> Data:
        if one.first.error is not None:
            raise NotCheckedError(f'not checked, because "{RUNS}" fails')
        return _rows(use, one)

    def valid() -> None:
        rows()

    def schema() -> None:
        try:
            found = rows()
        except ConformanceError as error:
            raise NotCheckedError(f'not checked, because "{VALID}" fails') from error
        _schema(use, found)

    polite = [
        conformance(component, name=check.name, why=check.why, examine=partial(present, check.examine))
        for check in manners(component, trials, inputs=False)
    ]
    return (
        *polite,
        conformance(
            component,
            name=VALID,
            why="everything downstream takes them as they are",
            examine=partial(present, valid),
        ),
        conformance(
            component,
            name="its schema survives JSON, and its modality is declared",
            why="plans, reports and stored runs hold the schema as JSON",
            examine=partial(present, schema),
        ),
    )


def _absence(one: Trial) -> str:
    """Say why the data are not there (nothing: they are); a missing file or download is no fault of the component."""
    error = one.first.error
    return cause_of(error) if isinstance(error, OSError | RequestError) and str(error) else ""


def _rows(use: Use, one: Trial) -> Data:
    rows: Any = one.first.value
    if not isinstance(rows, Data):
        raise ConformanceError(
            found=f"it returned {type(rows).__name__}",
            expected="Data",
            fix="return amulet_core.data.make_data(x, y, schema)",
        )
    try:
        return checked(rows, whose=use.id)
    except ValueError as error:
        raise ConformanceError(
            found=str(error),
            expected="rows that obey the rules of amulet_core.data.Data",
            fix="make them with amulet_core.data.make_data(x, y, schema), which checks them",
        ) from error


def _schema(use: Use, rows: Data) -> None:
    found = DataSchema.model_validate_json(rows.schema.model_dump_json())
    if found != rows.schema:
        raise ConformanceError(
            found="the schema read back from JSON is another one",
            expected="the same",
            fix="give plain strings, numbers and tuples to DataSchema",
        )
    declared = use.entry.component.modality
    if rows.schema.modality not in declared:
        raise ConformanceError(
            found=f"its rows are {rows.schema.modality}",
            expected=f"what the descriptor's modality says, {' or '.join(declared)}",
            fix=f'set modality=("{rows.schema.modality}",)',
        )
