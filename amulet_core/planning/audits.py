"""Planning of privacy audits: one more model of a row's recipe, with audit rows, and what speaks against it. Light."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from amulet_core.configuration.chains import run_problems, trained
from amulet_core.configuration.request import Request, RiskPlan, RowPlan, Use, attack_of, defense_of
from amulet_core.games.audit_threat import AuditThreat
from amulet_core.planned import Planned
from amulet_core.planning.job_specs import JobSpecs
from amulet_core.planning.jobs import AuditPlayWork, FitWork, Job
from amulet_core.planning.layout import wanted
from amulet_core.schema import DataSchema


def audit_play(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
    """Plan the training of a row's recipe with audit rows, and an attack's guesses about them."""
    assert attack is not None
    threat, victim, root_seed = risk.threat, specs.layout.victim(seed), specs.request.root_seed
    assert isinstance(threat, AuditThreat)
    planted = {name: getattr(threat, name) for name in ("canaries", "labels")}
    plain = specs.fit_job(row, (victim,))
    fit = specs.add(
        replace(
            plain,
            work=replace(cast("FitWork", plain.work), audited=threat),
            label=f"train {row.label} with audit rows, seed {seed}",
            spec={**plain.spec, "audited": planted},
        )
    )
    audits = 0 if attack_of(attack).control else _audits(specs.request, risk)
    spec = {
        **specs.released(row),
        "risk": risk.game.risk,
        "threat": threat.model_dump(mode="json"),
        "attack": specs.versioned(attack),
        "attacks": [use.id for use in risk.attacks],
        "metrics": [specs.versioned(use) for use in risk.metrics],
        "seed": seed,
        "victim": list(victim.key),
        "audits": audits,
    }
    work = AuditPlayWork(specs.recipe(row), risk, attack, victim, seed, root_seed, audits)
    label = f"audit of {row.label} by {attack.entry.component.name}, seed {seed}"
    used = (attack, *risk.metrics)
    like, resources = specs.like("attack", row, used, threat=spec["threat"]), specs.resources(row, *used)
    return specs.add(Job(work, label, spec, (fit,), like, resources=resources))


def accounts(row: RowPlan) -> bool:
    """Say whether a defense of the row claims an epsilon."""
    return any(defense_of(use).accounts_privacy for use in row.chain)


def audit_problems(request: Request, planned: Planned, risk: RiskPlan) -> list[str]:
    """List why the audit rows do not fit the run, or why a defense cannot be trained with them."""
    threat = cast("AuditThreat", risk.threat)
    if threat.canaries > planned.train:
        return [
            f"{threat.canaries} canaries are to be drawn from the {planned.train} rows of the pool that a victim does "
            "not train on: lower canaries, or raise data.train"
        ]
    fewest = planned.train - threat.canaries // 2
    audited = [row for row in request.rows if accounts(row) and not _of_row(row, planned)]
    return [
        f"as the coins fall, a model is trained on {fewest} to {fewest + threat.canaries} rows: {text}"
        for rows in (fewest, fewest + threat.canaries)
        for row in audited
        for text in _of_row(row, replace(planned, train=rows))
    ]


def skip_reasons(row: RowPlan, attack: Use, schema: DataSchema) -> Iterator[str]:
    """Yield the reasons why an attack audits nothing on a row."""
    if not accounts(row):
        yield "no defense of this row claims an epsilon that could be audited"
    if wanted(attack, schema):
        yield f"{attack.id} needs shadow models, and an audit trains one model and no more"


def _of_row(row: RowPlan, planned: Planned) -> list[str]:
    return [text for use in trained(row.chain) for text in run_problems(use, planned, row.label)]


def _audits(request: Request, risk: RiskPlan) -> int:
    """Count the audits that the run asks for, each of which could raise a false alarm; controls raise none."""
    attacks = sum(not attack_of(use).control for use in risk.attacks)
    return sum(map(accounts, request.rows)) * attacks * request.seeds
