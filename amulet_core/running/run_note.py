"""What a worker must know of a run to serve it: kept in the cache folder, where every worker can read it. Light."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from amulet_core.configuration.request import Request
from amulet_core.errors import RequestError
from amulet_core.schema import Frozen
from amulet_core.storage.fingerprint import code_of, differences, environment, packages_of
from amulet_core.storage.writing import replace_text


class RunNote(Frozen):
    """A resolved configuration, and what it was resolved with: versions, code by package, and the rows' hash."""

    config: dict[str, Any]
    environment: dict[str, str]
    code: dict[str, str]
    content: str


def note_of(request: Request, content: str) -> RunNote:
    """Describe a run of a request on rows with this hash, as this process would run it."""
    packages = dict.fromkeys(package for use in request.uses for package in packages_of(use.entry))
    return RunNote(
        config=request.canonical(),
        environment=environment(),
        code={package: code_of(package) for package in packages},
        content=content,
    )


def write_note(folder: Path, note: RunNote) -> str:
    """Keep a note in a cache folder and return its name.

    Raises:
        OSError: if the folder cannot be written.
    """
    text = json.dumps(note.model_dump(mode="json"), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()
    replace_text(folder / "runs" / f"{name}.json", text)
    return name


def read_note(folder: Path, name: str) -> RunNote:
    """Return a note from a cache folder.

    Raises:
        RequestError: if it is not there, or is of another version.
    """
    path = folder / "runs" / f"{name}.json"
    try:
        note = RunNote.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(
            f"it does not see the run in the cache folder {folder} ({error.strerror or error}): "
            "set AMULET_CACHE to a folder that all machines share"
        ) from error
    except ValidationError as error:
        raise RequestError(f"it cannot read the run in the cache folder {folder}: another version wrote it") from error
    with suppress(OSError):  # it was used now: pruning must not take it from a run that goes on for weeks
        os.utime(path)
    return note


def misfits(note: RunNote) -> list[str]:
    """List what makes this process unfit for a run: other versions, another processor, other code."""
    code = {package: code_of(package) for package in note.code}
    named = ({f"the code of {package}": sha for package, sha in one.items()} for one in (code, note.code))
    here, there = named
    return [*differences(environment(), note.environment), *differences(here, there)]
