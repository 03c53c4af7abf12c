"""A section of a configuration against its model: each mistake under its dotted path. Light."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from amulet_core.configuration.forms import Places, belongs
from amulet_core.errors import did_you_mean

P = TypeVar("P", bound=BaseModel)


def checked(
    model: type[P], given: Any, path: str, problems: list[str], *, places: Places = MappingProxyType({})
) -> P | None:
    """Return the validated section, or None after noting each of its problems under its dotted path.

    ``places`` are the configuration's sections: of a key that stands in another of them it is said in which.
    """
    if not isinstance(given, Mapping):
        problems.append(f"{path}: expected a mapping with the keys {', '.join(model.model_fields)}, got {shown(given)}")
        return None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problems += [_problem(dict(one), model, path, places) for one in error.errors(include_url=False)]
        return None


def _problem(error: Mapping[str, Any], model: type[BaseModel], path: str, places: Places) -> str:
    where = ".".join([*([path] if path else []), *(str(part) for part in error["loc"])])
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        hint = belongs(key, path, places) or did_you_mean(key, list(model.model_fields))
        known = ", ".join(model.model_fields) or "none at all"
        return f"{where}: there is no such key, got {shown(error['input'])}{hint} There are: {known}."
    if error["type"] == "missing":
        return f"{where}: this key is missing: {_description(model, error['loc'])}"
    if error["type"] in ("list_type", "tuple_type"):
        such = f", such as [{error['input']}]" if isinstance(error["input"], str) else ""
        return f"{where}: expected a list{such}, got {shown(error['input'])}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" and isinstance(error["input"], Mapping):  # the message names what of it is meant
        return f"{where or 'the configuration'}: {message[0].lower() + message[1:]}"
    return f"{where or 'the configuration'}: {message[0].lower() + message[1:]}, got {shown(error['input'])}"


def _description(model: type[BaseModel], loc: Sequence[Any]) -> str:
    field = model.model_fields.get(str(loc[0])) if loc else None
    return (field.description if field else "") or "it has no default"


def shown(value: Any) -> str:
    """Return a value as it stands in a message: cut short where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
