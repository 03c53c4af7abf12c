"""Which sensitive attribute is meant, and how small a group may be. Light: the catalogue reads it."""

from typing import Final

from amulet_core.schema import DataSchema

SMALLEST_GROUP: Final = 30
"""The fewest rows from which a group's rate is compared with another's."""


def attribute_problems(name: str, schema: DataSchema) -> list[str]:
    """Return why the sensitive attribute ``name`` (empty: the first) is not among those that the data set declares.

    Nothing where it declares none at all: of a component that ``uses_sensitive`` the core says that itself.
    """
    names = [attribute.name for attribute in schema.sensitive]
    if names and name and name not in names:
        return [f'the data set has no sensitive attribute "{name}"; it has {", ".join(names)}']
    return []


def attribute_column(name: str, schema: DataSchema) -> int:
    """Return the column of ``z`` that holds the sensitive attribute ``name`` (empty: the first), or raise."""
    problems = (
        attribute_problems(name, schema) if schema.sensitive else ["the data set declares no sensitive attribute"]
    )
    if problems:
        raise ValueError("; ".join(problems))
    return [attribute.name for attribute in schema.sensitive].index(name) if name else 0
