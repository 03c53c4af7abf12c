"""Planning of plays on trained victims: the contest of most games, and the join of several attacks."""

from collections.abc import Sequence
from dataclasses import replace

from amulet_core.configuration.chains import alike
from amulet_core.configuration.request import RiskPlan, RowPlan, Use, attack_of
from amulet_core.games.threats import DistributionThreat, MembershipThreat
from amulet_core.planning.certificates import certificate_jobs
from amulet_core.planning.job_specs import NO_DEFENSE, JobSpecs
from amulet_core.planning.jobs import AttackWork, Job, WorstWork
from amulet_core.planning.layout import wanted
from amulet_core.planning.problems import attack_problems


def shadow_row(specs: JobSpecs, row: RowPlan, risk: RiskPlan) -> RowPlan:
    """Return the row whose recipe trains the adversary's models: the victim's own, or the undefended one."""
    if isinstance(risk.threat, MembershipThreat | DistributionThreat) and risk.threat.shadow == "undefended":
        return next(other for other in specs.request.rows if other.kind == "none")
    return row


def contest(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
    """Plan one play against a row's victim of a seed, with the shadow models that the attack wants.

    Where the game compares, the controls are played before the attacks; those that see nothing of a victim, once for
    all rows.
    """
    if risk.game.compares and attack is not None and _blind(attack):
        row = next(other for other in specs.request.rows if other.kind == "none")
    victim = specs.layout.victim(seed)
    shadows = specs.layout.shadows(seed)[: wanted(attack, specs.schema)]
    trained = shadow_row(specs, row, risk)
    controls = _controls(specs, row, risk, attack, seed)
    needs = (specs.fit_of(row, victim), *specs.banks_of(trained, shadows), *controls)
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
        adaptive=alike(trained.chain, row.chain),
        placebo=row.kind == "placebo",
    )
    name = attack.entry.component.name if attack else risk.game.risk
    used = (attack, *risk.metrics) if attack else risk.metrics
    like = specs.like("attack", row, used, threat=spec["threat"])
    label, resources = f"{name} on {row.label}, seed {seed}", specs.resources(row, *used)
    play = Job(work, label, spec, needs, like, resources=resources)
    proofs = [specs.add(job) for job in certificate_jobs(play, needs[0], versioned=specs.versioned)]
    return specs.add(replace(play, needs=(*needs, *proofs)))


def _blind(attack: Use) -> bool:
    return attack_of(attack).control and attack_of(attack).access == "none"


def _controls(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> list[str]:
    """Return the keys of the controls' plays that an attack's is set beside."""
    if not risk.game.compares or attack is None or attack_of(attack).control:
        return []
    return [
        contest(specs, row, risk, use, seed)
        for use in risk.attacks
        if attack_of(use).control and not any(attack_problems(specs.request, specs.facts, row, risk, use))
    ]


def joined(specs: JobSpecs, row: RowPlan, risk: RiskPlan, seed: int, played: Sequence[str]) -> str:
    """Plan the join of what several attacks achieved on one victim."""
    spec = {"risk": risk.game.risk, "metrics": [specs.versioned(use) for use in risk.metrics]}
    label = f"{risk.game.joined} of {risk.game.risk} on {row.label}, seed {seed}"
    work = WorstWork(risk, specs.request.root_seed, seed)
    return specs.add(Job(work, label, spec, tuple(played), specs.like("join", NO_DEFENSE, risk.metrics)))
