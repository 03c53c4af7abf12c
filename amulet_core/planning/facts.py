"""What planning must know of a data set: its schema, and a hash of its content. Light once the cache has them."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from amulet_core.configuration.request import Request, Use
from amulet_core.schema import DataSchema, Frozen
from amulet_core.storage.fingerprint import code_of, environment, packages_of
from amulet_core.storage.store import Store, Stored

if TYPE_CHECKING:
    from amulet_core.data import Data


class DataFacts(Frozen):
    """What is known of a data set without its rows; ``content`` is the SHA-256 of all of them and of the schema.

    Without the schema, rows whose columns were given other names would pass for the same, though a threat model that
    names a column then means another.

    ``class_rows`` counts the rows of each class, ``cells[attribute][class][value]`` those of each class and value of
    every sensitive attribute. ``notes`` are what the data set has to say of its rows.
    """

    data_schema: DataSchema
    rows: int
    content: str
    class_rows: tuple[int, ...]
    cells: tuple[tuple[tuple[int, ...], ...], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def group_rows(self) -> tuple[tuple[int, ...], ...]:
        """Count the rows of each value of every sensitive attribute."""
        return tuple(tuple(sum(column) for column in zip(*attribute, strict=True)) for attribute in self.cells)


def hash_of_rows(data: "Data") -> str:
    """Return the SHA-256 of all rows, whatever their columns are called."""
    digest = hashlib.sha256()
    for tensor in (data.x, data.y, data.z, data.w, data.id):
        digest.update(f"{tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def facts_of(data: "Data") -> DataFacts:
    """Return the facts of loaded rows."""
    schema = json.dumps(data.schema.model_dump(mode="json"), sort_keys=True)
    classes = data.y.bincount(minlength=len(data.schema.classes)).tolist()
    return DataFacts(
        data_schema=data.schema,
        rows=len(data),
        content=hashlib.sha256(f"{schema} {hash_of_rows(data)}".encode()).hexdigest(),
        class_rows=tuple(classes),
        cells=_cells(data),
        notes=data.notes,
    )


def _cells(data: "Data") -> tuple[tuple[tuple[int, ...], ...], ...]:
    of_class = [data.z[data.y == label] for label in range(len(data.schema.classes))]
    return tuple(
        tuple(tuple(z[:, column].bincount(minlength=len(attribute.categories)).tolist()) for z in of_class)
        for column, attribute in enumerate(data.schema.sensitive)
    )


def counted(facts: DataFacts) -> dict[str, Any]:
    """Return the numbers of rows by class, and by class and value of each sensitive attribute, as JSON."""
    schema = facts.data_schema
    return {
        "class_rows": dict(zip(schema.classes, facts.class_rows, strict=True)),
        "groups": {
            attribute.name: {
                value: dict(zip(schema.classes, (own[place] for own in of_class), strict=True))
                for place, value in enumerate(attribute.categories)
            }
            for attribute, of_class in zip(schema.sensitive, facts.cells, strict=True)
        },
    }


def remember_facts(store: Store, request: Request, facts: DataFacts) -> None:
    """Keep the facts of a request's data set for later plans.

    Raises:
        OSError: if the store cannot be written.
    """
    store.put(_key(request), Stored(facts.model_dump(mode="json"), b""))


def recalled_facts(store: Store, request: Request) -> DataFacts | None:
    """Return the facts that an earlier run kept, if there was one on this data set with this code."""
    found = store.get(_key(request))
    if not isinstance(found, Stored):
        return None
    try:
        return DataFacts.model_validate(found.record)
    except ValidationError:  # kept by another version
        return None


def _key(request: Request) -> str:
    use = request.dataset
    spec = [use.canonical(), use.entry.component.version, [code_of(package) for package in packages_of(use.entry)]]
    text = json.dumps(["facts", spec, _files(use), request.root_seed, environment()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(use: Use) -> list[list[str | int]]:
    """Return name, size and time of the files that parameters name: facts of files that were edited are forgotten."""
    named = [Path(value) for value in use.params.model_dump(mode="json").values() if isinstance(value, str) and value]
    places = [path for name in named for path in (name, Path(os.environ.get("AMULET_DATA", ".")) / name)]
    found = [(path, path.stat()) for path in places if os.path.exists(path)]  # noqa: PTH110  # Path.exists may raise
    return [[str(path), state.st_size, state.st_mtime_ns] for path, state in found]
