"""Planning of plays on trained victims: the contest of most games, and the join of several attacks."""

from collections.abc import Sequence

from amulet_core.games.threats import MembershipThreat
from amulet_core.job_specs import NO_DEFENSE, JobSpecs
from amulet_core.jobs import AttackWork, Job, WorstWork
from amulet_core.layout import wanted
from amulet_core.request import RiskPlan, RowPlan, Use


def shadow_row(specs: JobSpecs, row: RowPlan, risk: RiskPlan) -> RowPlan:
    """Return the row whose recipe trains the shadow models: the victim's own, or the undefended one."""
    if isinstance(risk.threat, MembershipThreat) and risk.threat.shadow == "undefended":
        return next(other for other in specs.request.rows if other.kind == "none")
    return row


def contest(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
    """Plan one play against a row's victim of a seed, with the shadow models that the attack wants."""
    victim = specs.layout.victim(seed)
    shadows = specs.layout.shadows(seed)[: wanted(attack, specs.schema)]
    trained = shadow_row(specs, row, risk)
    needs = (specs.fit_of(row, victim), *specs.banks_of(trained, shadows))
    spec = {
        **specs.released(row),
        "risk": risk.game.risk,
        "threat": risk.threat.model_dump(mode="json"),
        "attack": specs.versioned(attack) if attack else None,
        "metrics": [specs.versioned(use) for use in risk.metrics],
        "seed": seed,
        "victim": list(victim.key),
        "shadows": [list(place.key) for place in shadows],
    }
    work = AttackWork(
        recipe=specs.recipe(row),
        risk=risk,
        attack=attack,
        seed=seed,
        root_seed=specs.request.root_seed,
        victim=victim,
        shadows=shadows,
        adaptive=trained.chain == row.chain,
        placebo=row.kind == "placebo",
    )
    name = attack.entry.component.name if attack else risk.game.risk
    used = (attack, *risk.metrics) if attack else risk.metrics
    like = specs.like("attack", row, used, threat=spec["threat"])
    label, resources = f"{name} on {row.label}, seed {seed}", specs.resources(row, *used)
    return specs.add(Job(work, label, spec, needs, like, resources=resources))


def joined(specs: JobSpecs, row: RowPlan, risk: RiskPlan, seed: int, played: Sequence[str]) -> str:
    """Plan the join of what several attacks achieved on one victim."""
    spec = {"risk": risk.game.risk, "metrics": [specs.versioned(use) for use in risk.metrics]}
    label = f"{risk.game.joined} of {risk.game.risk} on {row.label}, seed {seed}"
    work = WorstWork(risk, specs.request.root_seed, seed)
    return specs.add(Job(work, label, spec, tuple(played), specs.like("join", NO_DEFENSE, risk.metrics)))
