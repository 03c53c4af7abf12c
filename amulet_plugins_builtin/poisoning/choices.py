"""What a trigger would change, and why the data would not let it. Light: the catalogue reads it."""

from collections import Counter
from collections.abc import Sequence

from amulet_core.schema import DataSchema

Units = tuple[tuple[int, ...], ...]


def changeable(schema: DataSchema) -> Units:
    """Return what an adversary may change, in the features' order: single features, and whole one-hot groups."""
    fixed, groups = set(schema.feasible.immutable), schema.feasible.one_hot
    grouped = {index for group in groups for index in group}
    alone = [(index,) for index in range(schema.width) if index not in fixed | grouped]
    whole = [group for group in groups if len(group) > 1 and not fixed & set(group)]
    return tuple(sorted([*alone, *whole]))


def table_trigger(
    schema: DataSchema, *, count: int, names: Sequence[str], values: Sequence[float], level: float
) -> dict[int, float]:
    """Return the value of each feature that the trigger sets, in the feature's own units.

    Without ``names`` these are the first ``count`` that may be changed, each at the fraction ``level`` of its range (of
    a one-hot group's values, in their order). A name from a one-hot group stands for that value of the group.
    """
    if names:
        chosen = [schema.features.index(name) for name in names]
        wanted = dict(zip(chosen, values or [_at(schema, index, level) for index in chosen], strict=True))
    else:
        firsts = [unit[round(level * (len(unit) - 1))] for unit in changeable(schema)[:count]]
        wanted = {index: _at(schema, index, level) for index in firsts}
    groups = {index: group for group in schema.feasible.one_hot for index in group}
    alone = {index: value for index, value in wanted.items() if index not in groups}
    whole = {other: float(other == index) for index in wanted if index in groups for other in groups[index]}
    return alone | whole


def table_problems(schema: DataSchema, *, count: int, names: Sequence[str], values: Sequence[float]) -> list[str]:
    """List why the trigger cannot be set in the rows of a table."""
    if names:
        unknown = [name for name in names if name not in schema.features]
        if unknown:
            there = ", ".join(schema.features) or "it names none"
            return [f"the data set has no feature {_quoted(unknown)}; there are: {there}"]
        return [*_named_problems(schema, names), *_value_problems(schema, names, values)]
    free = len(changeable(schema))
    if values:
        return ["values are given without names: say which features they are for"]
    if count > free:
        return [
            f"the trigger sets {count} features, but an adversary may change only {free} of this data set (one-hot "
            f"groups count once): set features to {free} or less"
            if free
            else "every feature of this data set is immutable: no trigger can be set"
        ]
    return []


def image_problems(schema: DataSchema, *, size: int) -> list[str]:
    """List why a square of ``size`` pixels cannot be set in the images."""
    if len(schema.shape) < 2:
        return [f"a patch needs images [..., height, width], but a row of these data has the shape {schema.shape}"]
    height, width = schema.shape[-2:]
    if size > min(height, width):
        return [
            f"the trigger is {size}x{size} pixels, the images are {height}x{width}: set size to "
            f"{min(height, width)} or less"
        ]
    return []


def _named_problems(schema: DataSchema, names: Sequence[str]) -> list[str]:
    units = {index: place for place, unit in enumerate(changeable(schema)) for index in unit}
    indices = {name: schema.features.index(name) for name in names}
    fixed = [name for name, index in indices.items() if index not in units]
    problems = [f"an adversary may not change {_quoted(fixed)}: immutable"] if fixed else []
    often = Counter(units[schema.features.index(name)] for name in names if name not in fixed)
    twice = [name for name in indices if name not in fixed and often[units[indices[name]]] > 1]
    if twice:
        problems.append(f"{_quoted(twice)} set the same feature or one-hot group: name one of them, once")
    return problems


def _value_problems(schema: DataSchema, names: Sequence[str], values: Sequence[float]) -> list[str]:
    if not values:
        return []
    if len(values) != len(names):
        return [f"there are {len(values)} values for {len(names)} names: give one for each, or none"]
    problems, groups = [], {index for group in schema.feasible.one_hot for index in group}
    for name, value in zip(names, values, strict=True):
        index = schema.features.index(name)
        low, high = _at(schema, index, 0.0), _at(schema, index, 1.0)
        if index in groups and value != high:
            problems.append(f'"{name}" is a value of a one-hot group: its value must be {high:g}, not {value:g}')
        elif not low <= value <= high:
            problems.append(f'the value of "{name}" must lie in {low:g} .. {high:g}, not at {value:g}')
        elif index in schema.feasible.integer and value != round(value):
            problems.append(f'the value of "{name}" must be a whole number, not {value:g}')
    return problems


def _at(schema: DataSchema, index: int, level: float) -> float:
    """Return the value at a fraction of a feature's range; of an integer feature, the whole number next to it."""
    feasible = schema.feasible
    low = feasible.low[index] if isinstance(feasible.low, tuple) else feasible.low
    high = feasible.high[index] if isinstance(feasible.high, tuple) else feasible.high
    value = low + level * (high - low)
    return float(round(value)) if index in feasible.integer else value


def _quoted(names: Sequence[str]) -> str:
    return " and ".join(f'"{name}"' for name in names)
