"""What a component cannot work on: its own ``applicable`` is asked about data of every sort."""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from pydantic import ValidationError

from amulet_core.components import Component
from amulet_core.schema import DataSchema, Feasible, Sensitive


class Sort(NamedTuple):
    """A sort of data, as a reader would tell it from others."""

    modality: str
    classes: str
    attributes: str


_WORDS: Final = {
    "tabular": "tables",
    "image": "images",
    "two": "two classes",
    "many": "more than two classes",
    "with": "sensitive attributes",
    "without": "no sensitive attribute",
}
SORTS: Final = tuple(Sort(*sort) for sort in product(("tabular", "image"), ("two", "many"), ("with", "without")))


def schema_of(sort: Sort) -> DataSchema:
    """Return the schema of a small data set of a sort."""
    shape = (1, 8, 8) if sort.modality == "image" else (12,)
    return DataSchema(
        modality="image" if sort.modality == "image" else "tabular",
        shape=shape,
        classes=("no", "yes") if sort.classes == "two" else tuple("abcdefghij"),
        sensitive=(Sensitive(name="group", categories=("a", "b")),) if sort.attributes == "with" else (),
        feasible=Feasible(low=0.0, high=1.0),
    )


def refusals(component: Component) -> list[str]:
    """Return, for each reason that a component gives, the sort of data and the reason."""
    try:
        params = component.params()
    except ValidationError:  # parameters without defaults: nothing can be said before they are known
        return []
    sorts = [sort for sort in SORTS if sort.modality in component.modality]
    reasons: dict[str, set[Sort]] = {}
    for sort in sorts:
        for reason in component.applicable(params, schema_of(sort)):
            reasons.setdefault(reason, set()).add(sort)
    return [f"{_described(refused, sorts)}: {reason}" for reason, refused in reasons.items()]


def _described(refused: set[Sort], sorts: list[Sort]) -> str:
    """Name a set of sorts by as few of their traits as tell it from all the others."""
    for given in sorted(product(*({None, *trait} for trait in zip(*SORTS, strict=True))), key=_named):
        if {sort for sort in sorts if _is(sort, given)} == refused:
            return _phrase(given)
    return "; ".join(sorted(_phrase(sort) for sort in refused))


def _named(given: tuple[str | None, ...]) -> tuple[int, tuple[str, ...]]:
    return sum(trait is not None for trait in given), tuple(trait or "" for trait in given)


def _is(sort: Sort, given: tuple[str | None, ...]) -> bool:
    return all(wanted in (None, has) for has, wanted in zip(sort, given, strict=True))


def _phrase(given: tuple[str | None, ...]) -> str:
    modality, *traits = given
    words = " and ".join(_of_traits(traits))
    return f"{_WORDS[modality] if modality else 'data'}{f' with {words}' if words else ''}"


def _of_traits(traits: list[str | None]) -> Iterator[str]:
    yield from (_WORDS[trait] for trait in traits if trait)
