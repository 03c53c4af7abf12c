"""What a user calls: run a configuration, write a report again, run a component's checks."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from amulet_core.configuration.reading import read, replaced, resolve
from amulet_core.configuration.request import Request, RiskPlan, load_all
from amulet_core.discovery.registry import Registry, discover
from amulet_core.errors import ComponentError, RequestError, UnwrittenError
from amulet_core.matrix.conflicts import conflicts
from amulet_core.matrix.interactions import entries
from amulet_core.matrix.tables import write_results
from amulet_core.performing.provenance import provenance
from amulet_core.performing.recipes import blamed
from amulet_core.planning.facts import DataFacts, counted
from amulet_core.planning.portrait import data_warnings
from amulet_core.planning.remarks import notes_of, warnings_of
from amulet_core.report.terminal import text_matrix
from amulet_core.results import Column, Results, Row
from amulet_core.running.conduct import Prepared, conduct, prepared
from amulet_core.running.loop import Progress, unfilled
from amulet_core.running.observers import Observers, observed
from amulet_core.running.run_folder import check_data, located, run_folder
from amulet_core.storage.fingerprint import note_code
from amulet_core.storage.store import Store, cache_folder

QUICKSTART = Path(__file__).parent / "quickstart.yaml"


def run(
    config: Mapping[str, Any] | str | Path,
    *,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    cache: str | Path | None = None,
) -> Results:
    """Run a configuration (a mapping, or the path of a YAML or TOML file) and return its results.

    With ``out``, results.csv, results.json, provenance.json and report.html are written into that folder. An
    interrupted run (Ctrl-C) ends with the results of what was done until then; run again, it goes on there. ``cache``
    is the folder of what was computed before, by default the one of AMULET_CACHE or of the platform.

    Raises:
        RequestError: with all problems of the request, before anything is run.
        UnwrittenError: if the results cannot be written into ``out``.
    """
    registry = registry or discover()
    raw = replaced(config if isinstance(config, Mapping) else read(config), overrides)
    request = resolve(raw, registry)
    load_all(request)
    note_code(use.entry for use in request.uses)
    store = Store(cache_folder() if cache is None else cache)
    with ExitStack() as stack:
        folder = stack.enter_context(run_folder(Path(out), request)) if out is not None else None
        ready = prepared(request, store)
        if folder is not None:
            check_data(folder, ready.facts.content)
        observers = stack.enter_context(observed(registry))
        progress = Progress()
        for warning in (*data_warnings(ready.facts, request.data), *warnings_of(request, ready.facts.data_schema)):
            progress.tell(warning)
        for note in notes_of(request, ready.facts):
            print(f"note: {note}", file=sys.stderr, flush=True)
        results = _run(ready, registry, folder, observers, progress)
        if folder is not None:
            _write(results, folder)
            _report_further(request, results, folder)
        if observers.watched:  # thousands of cells are not made into JSON for nobody
            told = {"results": results.model_dump(mode="json"), "folder": str(folder) if folder else ""}
            observers.tell("amulet_run_finished", told)
    for warning in dict.fromkeys((*results.provenance.warnings, *observers.warnings())):
        if warning not in {*registry.warnings, *progress.told}:  # these were shown at once
            print(f"warning: {warning}", file=sys.stderr)
    return results


def run_config(path: str, *, out: str | None, overrides: Sequence[str], registry: Registry) -> int:
    """Run a configuration file, or go on with a run's folder; print the matrix; return the exit code."""
    file, folder = located(path, out)
    return _told(run(file, out=folder, overrides=overrides, registry=registry), folder)


def quickstart(*, out: str | None, registry: Registry) -> int:
    """Run the quickstart; return the exit code."""
    folder = Path(out) if out else Path("amulet-quickstart")
    return _told(run(QUICKSTART, out=folder, registry=registry), folder)


def report(directory: str) -> int:
    """Write report.html again from the results in a folder; return the exit code."""
    from amulet_core.matrix.tables import read_results

    print(f"Report: {read_results(directory).report(Path(directory) / 'report.html')}")
    return 0


def check(name: str, registry: Registry) -> int:
    """Run the checks that the components of this name ship; return the exit code (1: a check failed)."""
    from amulet_core.testing.checking import run_checks

    return run_checks(name, registry)


def _told(results: Results, folder: Path) -> int:
    failed = [cell for cell in results.cells if cell.status == "failed"]
    print(text_matrix(results))
    done, seconds = results.provenance, results.provenance.seconds
    counts = Counter(cell.status for cell in results.cells)
    told = ", ".join(f"{counts[status]} {status}" for status in ("ok", "failed", "skipped") if counts[status])
    known = f"; {done.reused} taken from earlier runs" if done.reused else ""
    memory = f"peak memory {done.peak_memory_mb / 1024:.1f} GB"
    print(f"{len(results.cells)} cells ({told}{known}) in {seconds:.0f} s, {memory}.")
    for reason, count in Counter(cell.reason for cell in results.cells if cell.status == "skipped").items():
        print(f"skipped ({count}): {reason}")
    for reason in dict.fromkeys(f"{cell.blame}: {cell.reason}" for cell in failed):
        print(f"failed: {reason}", file=sys.stderr)
    if not done.complete:
        again = f"Run it again, or: amulet run {folder}"
        print(f"The run was interrupted: the report holds what was done until then. {again}", file=sys.stderr)
    print(f"Report: {folder / 'report.html'}")
    return 1 if failed or not done.complete else 0


def _report_further(request: Request, results: Results, folder: Path) -> None:
    """Let the reporters write; one that fails is a warning, since the results are already written."""
    for use in request.reporters:
        try:
            blamed(use.id, partial(use.entry.load(), results, folder, use.params), ("report", request.root_seed))
        except (ComponentError, RequestError) as error:
            print(f"warning: reporter {error}", file=sys.stderr)


def _write(results: Results, folder: Path) -> None:
    """Write the results and the report.

    Raises:
        UnwrittenError: if the folder cannot be written any more; the cache may have what was computed.
    """
    try:
        write_results(results, folder)
        results.report(folder / "report.html")
    except OSError as error:
        for warning in results.provenance.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        raise UnwrittenError(
            f"the output folder {folder} cannot be written: {error.strerror or error}. Free some space, or choose "
            "another folder with --out, and run again: what the cache or the journal took is not computed again."
        ) from error


def _run(ready: Prepared, registry: Registry, folder: Path | None, observers: Observers, progress: Progress) -> Results:
    started, request = datetime.now(UTC), ready.request
    complete = conduct(ready, folder, observers, progress)
    cells = tuple(
        progress.cells.get(index) or unfilled(planned, status="skipped", reason="the run was interrupted before")
        for index, planned in enumerate(ready.plan.cells)
    )
    schema, overlap = ready.facts.data_schema, ready.layout.overlap
    rows, columns = _rows(request), _columns(request)
    found = entries(request, cells, overlap=overlap, classes=len(schema.classes))
    return Results(
        name=request.name,
        config=request.canonical(),
        data=_described(request, ready.facts),
        seeds=tuple(range(request.seeds)),
        design=request.data.design,
        overlap=overlap,
        rows=rows,
        columns=columns,
        cells=cells,
        entries=found,
        conflicts=conflicts(rows, columns, found, overlap=overlap, members_alone=request.members_alone),
        provenance=provenance(
            request,
            started=started,
            complete=complete,
            reused=progress.reused,
            data_sha256=ready.facts.content,
            timings=progress.timings,
            evidence={row: dict(found) for row, (_, found) in sorted(progress.evidence.items())},
            warnings=tuple(dict.fromkeys((*registry.warnings, *progress.warnings, *observers.warnings()))),
        ),
    )


def _described(request: Request, facts: DataFacts) -> dict[str, Any]:
    component, schema = request.dataset.entry.component, facts.data_schema
    return {
        "id": request.dataset.id,
        "summary": component.summary,
        "licence": getattr(component, "licence", ""),
        "rows": facts.rows,
        "sha256": facts.content,
        "classes": list(schema.classes),
        "features": schema.width,
        "sensitive": {attribute.name: list(attribute.categories) for attribute in schema.sensitive},
        **counted(facts),
        "sizes": request.data.model_dump(mode="json"),
    }


def _rows(request: Request) -> tuple[Row, ...]:
    return tuple(
        Row(label=row.label, kind=row.kind, chain=tuple(use.member() for use in row.chain)) for row in request.rows
    )


def _columns(request: Request) -> tuple[Column, ...]:
    return tuple(
        Column(
            risk=risk.game.risk,
            title=risk.game.title,
            threat=risk.threat.model_dump(mode="json"),
            attacks=tuple(use.member() for use in risk.attacks),
            controls=tuple(use.id for use in risk.attacks if getattr(use.entry.component, "control", False)),
            metrics=tuple(use.member() for use in risk.metrics),
            primary_metric=f"builtin/{risk.game.primary.metric}",
            primary_value=risk.game.primary.value,
            primary_label=risk.game.primary.label,
            better=risk.game.primary.better,
            margin=risk.game.primary.margin,
            floor=_floor(risk),
            bound=risk.game.primary.bound,
            share=risk.game.primary.share,
            chance=risk.game.primary.chance,
        )
        for risk in request.risks
    )


def _floor(risk: RiskPlan) -> float | None:
    """Return the value without any protection: where the threat model allows a share of false claims, that share."""
    floor = risk.game.primary.floor
    return floor if floor is None else getattr(risk.threat, "fpr", floor)
