"""Conformance of parameters: described, limited, and the same after a way through JSON."""

import typing
from collections.abc import Iterable
from types import UnionType
from typing import Any, Final

from annotated_types import Ge, Gt, Interval, Le, Lt, MultipleOf
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from amulet_core.discovery.entries import Entry
from amulet_core.errors import cause_of
from amulet_core.testing.findings import ConformanceError, NotCheckedError

DEFAULTS: Final = "its default parameters are valid and survive JSON"


def described_and_limited(entry: Entry) -> None:
    """Check that every parameter is described, and that every number has limits."""
    fields = entry.component.params.model_fields
    bare = [name for name, field in fields.items() if not (field.description or "").strip()]
    boundless = [name for name, field in fields.items() if _needs_limits(field)]
    if bare or boundless:
        parts = [f"no description of {', '.join(bare)}"] * bool(bare)
        parts += [f"no limits of {', '.join(boundless)}"] * bool(boundless)
        raise ConformanceError(
            found=" and ".join(parts),
            expected="a description of each parameter, and limits of each number",
            fix='write Field(default, gt=0, le=1, description="..."), or say in the description which default stands '
            "for no limit",
        )


def _needs_limits(field: FieldInfo) -> bool:
    limits = (Ge, Gt, Le, Lt, Interval, MultipleOf)
    marks = [*field.metadata, *_marks(field.annotation)]
    number = any(kind in (int, float) for kind in _kinds(field.annotation))
    return number and not any(isinstance(mark, limits) for mark in marks) and "default" not in (field.description or "")


def _kinds(annotation: Any) -> Iterable[Any]:
    """Yield the plain types of an annotation: of an optional or annotated number, the number; of containers nothing."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    elif origin in (typing.Union, UnionType):
        for part in typing.get_args(annotation):
            yield from _kinds(part)
    elif origin is None:
        yield annotation


def _marks(annotation: Any) -> Iterable[Any]:
    for part in typing.get_args(annotation):
        if typing.get_origin(part) is typing.Annotated:
            yield from typing.get_args(part)[1:]


def survive_json(entry: Entry) -> None:
    """Check that the default parameters are valid, have a JSON Schema, and come back from JSON as they were."""
    params = entry.component.params
    fix = "give every parameter a default that obeys its own limits, of types that JSON has"
    try:
        params.model_json_schema()
        default = params()
        again = params.model_validate_json(default.model_dump_json())
    except Exception as error:
        found = _faults(error) if isinstance(error, ValidationError) else cause_of(error).rstrip(".")
        raise ConformanceError(found=found, expected="default parameters that JSON can hold", fix=fix) from error
    if again != default:
        found = f"{default!r} comes back from JSON as {again!r}"
        raise ConformanceError(found=found, expected="the same parameters", fix=fix)


def _faults(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'params'}: {fault['msg']}" for fault in error.errors())


def default_params(entry: Entry) -> BaseModel:
    """Return a component's default parameters.

    Raises:
        NotCheckedError: if it has none.
    """
    try:
        return entry.component.params()
    except ValueError as error:
        raise NotCheckedError(f'not checked, because "{DEFAULTS}" fails') from error
