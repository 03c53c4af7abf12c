"""``amulet new``: what is wrong with a request, and the writing of the project."""

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, cast

from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.scaffold.examples import DEFAULT_RISK, KINDS, NewKind, risks_of
from amulet_core.scaffold.project import Draft, project_files
from amulet_core.vocabulary import AUDIT, COLUMNS, OWN_ROWS, VERIFICATION

LONGEST: Final = 40
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PREFIX: Final = "amulet-plugin-"
_ABOUT: Final = {"attack": " on ", "defense": " against ", "metric": " of ", "dataset": "", "model": ""}
_NO_ATTACKS: Final = {
    VERIFICATION: "thieves play it, and the owner's verify: write an attack on unauthorized-model-ownership",
    AUDIT: "attacks on membership-inference play it: write one of those",
}


def new_plugin(kind: str, name: str, *, risk: str | None, folder: str | None, registry: Registry) -> str:
    """Write the project of a new plugin, and return what to tell the author.

    Raises:
        RequestError: with all that is wrong with the request, nothing having been written; or if the folder cannot be
            written.
    """
    place = Path(folder or f"{_PREFIX}{name}")
    problems = [
        *_kind_problems(kind, risk),
        *_name_problems(name, registry),
        *_label_problems(kind, name),
        *_folder_problems(place),
    ]
    if problems:
        raise RequestError(*problems)
    known = cast("NewKind", kind)
    draft = Draft(known, name, risk or (DEFAULT_RISK if risks_of(known) else ""))
    files = project_files(draft)
    _write(place, files)
    return _told(draft, place, files)


def _kind_problems(kind: str, risk: str | None) -> Iterator[str]:
    if kind not in KINDS:
        yield f'unknown kind "{kind}"{did_you_mean(kind, KINDS)} There are: {", ".join(KINDS)}.'
    elif risk is not None:
        yield from _risk_problems(cast("NewKind", kind), risk)


def _risk_problems(kind: NewKind, risk: str) -> Iterator[str]:
    risks = risks_of(kind)
    there_are = f"There are: {', '.join(risks)}."
    if not risks:
        yield f"--risk {risk}: {_a(kind)} is about no risk, every risk is measured with it. Leave --risk out."
    elif risk not in COLUMNS:
        yield f'--risk: unknown risk "{risk}"{did_you_mean(risk, risks)} {there_are}'
    elif risk not in risks and kind == "attack":
        reason = _NO_ATTACKS.get(risk, "it has no adversary: write a metric, or a defense")
        yield f"--risk {risk}: there are no attacks on it, as {reason}. {there_are}"
    elif risk not in risks:
        yield f"--risk {risk}: a defense is against one of the eight risks. {there_are}"


def _name_problems(name: str, registry: Registry) -> Iterator[str]:
    if name.startswith(_PREFIX):
        yield f'the name "{name}": leave out "{_PREFIX}", which the package gets by itself.'
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        yield (
            f'the name "{name}" cannot be used. A name is lower-case letters and digits, in words joined by single '
            f"hyphens, {LONGEST} characters at most: my-plugin, for example."
        )
    for plugin in registry.plugins:
        if plugin.found.name == name:
            yield (
                f'the name "{name}" is that of the plugin {plugin.found.whose}: of two plugins of one name neither is '
                "loaded. Choose another."
            )
    for entry in registry.entries:
        if entry.component.name == name and entry.plugin != name:
            yield (
                f'the name "{name}" is that of the {entry.component.kind} {entry.id}: alone it would not mean yours. '
                "Choose another."
            )


def _label_problems(kind: str, name: str) -> Iterator[str]:
    if kind == "defense" and name in OWN_ROWS:
        yield f'the name "{name}" is the label of {OWN_ROWS[name]} of every matrix. Choose another.'


def _folder_problems(place: Path) -> Iterator[str]:
    try:
        empty = not place.is_dir() or next(place.iterdir(), None) is None
    except OSError as error:
        yield f"the folder {place} cannot be read: {error.strerror or error}."
        return
    if not empty:
        yield f"the folder {place} exists and is not empty: name another one with --dir."
    elif place.exists() and not place.is_dir():
        yield f"{place} exists and is no folder: name another one with --dir."


def _a(kind: str) -> str:
    return f"an {kind}" if kind == "attack" else f"a {kind}"


def _write(place: Path, files: dict[str, str]) -> None:
    try:
        for name, text in files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise RequestError(f"the project cannot be written to {place}: {error.strerror or error}.") from error


def _told(draft: Draft, place: Path, files: Iterable[str]) -> str:
    local = place if place.is_absolute() else f"./{place}"
    lines = [
        f"wrote {place}, {_a(draft.kind)}{_ABOUT[draft.kind]}{draft.risk}:",
        *(f"  {name}" for name in files),
        "next:",
        f'  pip install -e "{local}[test]"',
        f"  amulet check {draft.name}",
        f"  amulet run {shlex.quote(str(place / 'example.yaml'))}",
    ]
    return "\n".join(lines)
