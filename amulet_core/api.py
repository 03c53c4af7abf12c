"""What a user calls: run a configuration, write a report again, run a component's checks."""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from amulet_core.config import overridden, read, resolve
from amulet_core.errors import RequestError, cause_of
from amulet_core.ground import lay_ground, load_data
from amulet_core.interactions import entries
from amulet_core.layout import layout_of
from amulet_core.plan import PlannedCell, plan
from amulet_core.progress import shown_progress
from amulet_core.provenance import provenance
from amulet_core.recipes import ComponentError, blamed
from amulet_core.registry import Registry, discover
from amulet_core.request import Request, defense_of
from amulet_core.results import Cell, Column, Results, Row
from amulet_core.running import Progress, Session, run_plan, unfilled
from amulet_core.schema import DataSchema
from amulet_core.tables import text_matrix, write_results

RESULT_FILES = ("results.csv", "results.json", "provenance.json")
QUICKSTART = Path(__file__).parent / "quickstart.yaml"


def run(
    config: Mapping[str, Any] | str | Path,
    *,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> Results:
    """Run a configuration (a mapping, or the path of a YAML or TOML file) and return its results.

    With ``out``, results.csv, results.json, provenance.json and report.html are written into that folder. An
    interrupted run (Ctrl-C) ends with the results of what was done until then.

    Raises:
        RequestError: with all problems of the request, before anything is run.
    """
    registry = registry or discover()
    raw = dict(config) if isinstance(config, Mapping) else read(config)
    for override in overrides:
        raw = overridden(raw, override)
    request = resolve(raw, registry)
    _load_all(request)
    folder = _writable(Path(out), request) if out is not None else None
    results = _run(request, registry)
    if folder is not None:
        write_results(results, folder)
        results.report(folder / "report.html")
        _report_further(request, results, folder)
    for warning in registry.notify("amulet_run_finished", {"results": results.model_dump(mode="json")}):
        print(f"warning: {warning}", file=sys.stderr)
    return results


def run_config(path: str, *, out: str | None, overrides: Sequence[str], registry: Registry) -> int:
    """Run a configuration file, print the matrix and where the report is; return the exit code."""
    folder = Path(out) if out else Path(f"amulet-{Path(path).stem}")
    return _told(run(path, out=folder, overrides=overrides, registry=registry), folder)


def quickstart(*, out: str | None, registry: Registry) -> int:
    """Run the quickstart; return the exit code."""
    folder = Path(out) if out else Path("amulet-quickstart")
    return _told(run(QUICKSTART, out=folder, registry=registry), folder)


def report(directory: str) -> int:
    """Write report.html again from the results in a folder; return the exit code."""
    from amulet_core.tables import read_results

    print(f"Report: {read_results(directory).report(Path(directory) / 'report.html')}")
    return 0


def check(name: str, registry: Registry) -> int:
    """Run the checks that the components of this name ship; return the exit code (1: a check failed)."""
    from amulet_core.checking import run_checks

    return run_checks(name, registry)


def _told(results: Results, folder: Path) -> int:
    failed = [cell for cell in results.cells if cell.status == "failed"]
    print(text_matrix(results))
    done, seconds = results.provenance, results.provenance.seconds
    counts = Counter(cell.status for cell in results.cells)
    told = ", ".join(f"{counts[status]} {status}" for status in ("ok", "failed", "skipped") if counts[status])
    print(f"{len(results.cells)} cells ({told}) in {seconds:.0f} s, peak memory {done.peak_memory_mb / 1024:.1f} GB.")
    for reason in dict.fromkeys(f"{cell.blame}: {cell.reason}" for cell in failed):
        print(f"failed: {reason}", file=sys.stderr)
    if not done.complete:
        print("The run was interrupted: the report holds what was done until then.", file=sys.stderr)
    print(f"Report: {folder / 'report.html'}")
    return 1 if failed or not done.complete else 0


def _load_all(request: Request) -> None:
    """Import the code of every component used, so that what cannot be imported is known before anything runs."""
    problems: list[str] = []
    for use in request.uses:
        stages = defense_of(use).stages.values() if use.entry.component.kind == "defense" else ()
        for target in dict.fromkeys((use.entry.component.target, *stages)):
            try:
                use.entry.load(target)
            except RequestError as error:
                problems += error.problems
    if problems:
        raise RequestError(*problems)


def _report_further(request: Request, results: Results, folder: Path) -> None:
    """Let the reporters write; one that fails is a warning, since the results are already written."""
    for use in request.reporters:
        try:
            blamed(use.id, partial(use.entry.load(), results, folder, use.params), ("report", request.root_seed))
        except (ComponentError, RequestError) as error:
            print(f"warning: reporter {error}", file=sys.stderr)


def _writable(folder: Path, request: Request) -> Path:
    """Make the output folder, and see that it can be written and holds no other run's results."""
    probe = folder / ".amulet-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise RequestError(
            f"the output folder {folder} cannot be written: {error.strerror or error}. Choose another with --out."
        ) from error
    folders = [name for name in (*RESULT_FILES, "report.html") if (folder / name).is_dir()]
    if folders:
        raise RequestError(
            f"the output folder {folder} has folders called {', '.join(folders)}: choose another with --out."
        )
    earlier = folder / "results.json"
    if earlier.exists():
        try:
            same = json.loads(earlier.read_text(encoding="utf-8")).get("config") == request.canonical()
        except (OSError, ValueError, AttributeError):
            same = False
        if not same:
            raise RequestError(
                f"the output folder {folder} holds the results of another configuration: "
                "choose another with --out, or remove it."
            )
    return folder


def _run(request: Request, registry: Registry) -> Results:
    started = datetime.now(UTC)
    data = load_data(request)
    todo = plan(request, data.schema)
    layout = layout_of(request, data.schema)
    ground = lay_ground(data, request, layout)
    executor = _executor(request)
    progress = Progress()
    warnings = [*registry.warnings, *registry.notify("amulet_run_started", {"run": request.canonical()})]
    complete = True
    try:
        with shown_progress(len(todo.jobs)) as show:

            def advanced(done: int, total: int, label: str) -> None:
                show(done, total, label)
                warnings.extend(registry.notify("amulet_progress", {"done": done, "total": total, "label": label}))

            def started_cell(cell: PlannedCell) -> None:
                warnings.extend(registry.notify("amulet_cell_started", {"cell": asdict(cell)}))

            def finished_cell(cell: Cell) -> None:
                warnings.extend(registry.notify("amulet_cell_finished", {"cell": cell.model_dump(mode="json")}))

            run_plan(
                todo,
                ground,
                executor,
                progress,
                threads=request.threads_per_job,
                started_cell=started_cell,
                finished_cell=finished_cell,
                advanced=advanced,
            )
    except KeyboardInterrupt:
        complete = False
    cells = tuple(
        progress.cells.get(index) or unfilled(planned, status="skipped", reason="the run was interrupted before")
        for index, planned in enumerate(todo.cells)
    )
    return Results(
        name=request.name,
        config=request.canonical(),
        data=_described(request, data.schema, rows=len(data)),
        seeds=tuple(range(request.seeds)),
        design=request.data.design,
        overlap=layout.overlap,
        rows=tuple(
            Row(label=row.label, kind=row.kind, chain=tuple(use.member() for use in row.chain)) for row in request.rows
        ),
        columns=_columns(request),
        cells=cells,
        entries=entries(request, cells, overlap=layout.overlap, classes=len(data.schema.classes)),
        provenance=provenance(
            request,
            started=started,
            complete=complete,
            timings=progress.timings,
            evidence=progress.evidence,
            warnings=tuple(dict.fromkeys(warnings)),
        ),
    )


def _executor(request: Request) -> AbstractContextManager[Session]:
    use = request.executor
    try:
        executor: AbstractContextManager[Session] = use.entry.load()(use.params)
    except Exception as error:  # whatever a plugin raises, the request names it
        raise RequestError(f"executor: {use.id} cannot be started: {cause_of(error)}") from error
    return executor


def _described(request: Request, schema: DataSchema, *, rows: int) -> dict[str, Any]:
    component = request.dataset.entry.component
    return {
        "id": request.dataset.id,
        "summary": component.summary,
        "licence": getattr(component, "licence", ""),
        "rows": rows,
        "classes": list(schema.classes),
        "features": schema.width,
        "sensitive": {attribute.name: list(attribute.categories) for attribute in schema.sensitive},
        "sizes": request.data.model_dump(mode="json"),
    }


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
        )
        for risk in request.risks
    )
