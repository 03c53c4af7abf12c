"""Planning of the poisoning game: the attack on every seed's rows, the fit of their victims, the comparison."""

from dataclasses import replace
from typing import cast

from amulet_core.configuration.request import RiskPlan, RowPlan, Use
from amulet_core.games.threats import PoisoningThreat
from amulet_core.planning.job_specs import NO_DEFENSE, JobSpecs, Stack
from amulet_core.planning.jobs import FitWork, Job, PoisonedPlayWork, PoisonWork
from amulet_core.planning.layout import Place


def poisoned_play(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
    """Plan the attack on every seed's rows, one fit of their victims, and the comparison with the clean one."""
    assert attack is not None
    request, layout = specs.request, specs.layout
    seeds = {layout.victim(other): other for other in range(request.seeds)}
    victims = tuple(seeds)
    size, victim = request.stack, layout.victim(seed)
    start = victims.index(victim) // size * size
    stack = victims[start : start + size]
    poisons = {place: _poison(specs, risk, attack, place, seeds[place]) for place in stack}
    clean = specs.fit_of(row, victim)
    # Where nothing may be poisoned the clean victim is the poisoned one, whatever stack it was trained in.
    rate = cast("PoisoningThreat", risk.threat).rate
    fits = (_poisoned_fit(specs, row, attack, stack, tuple(poisons.values())), clean) if rate else (clean,)
    spec = {
        **specs.released(row),
        "risk": risk.game.risk,
        "threat": risk.threat.model_dump(mode="json"),
        "metrics": [specs.versioned(use) for use in risk.metrics],
        "seed": seed,
        "victim": list(victim.key),
    }
    work = PoisonedPlayWork(specs.recipe(row), risk, victim, seed, request.root_seed)
    label = f"{attack.entry.component.name} on {row.label}, seed {seed}"
    like, resources = specs.like("observe", row, risk.metrics), specs.resources(row)
    return specs.add(Job(work, label, spec, (poisons[victim], *fits), like, resources=resources))


def _poisoned_fit(specs: JobSpecs, row: RowPlan, attack: Use, stack: Stack, poisons: tuple[str, ...]) -> str:
    plain = specs.fit_job(row, stack)
    return specs.add(
        replace(
            plain,
            work=replace(cast("FitWork", plain.work), poisoned=True),
            label=f"train {row.label} on rows poisoned by {attack.entry.component.name} ({len(stack)} models)",
            needs=poisons,
        )
    )


def _poison(specs: JobSpecs, risk: RiskPlan, attack: Use, place: Place, seed: int) -> str:
    spec = {
        **specs.common,
        "threat": risk.threat.model_dump(mode="json"),
        "attack": specs.versioned(attack),
        "place": list(place.key),
        "seed": seed,
    }
    work = PoisonWork(risk, attack, place, seed, specs.request.root_seed)
    like = specs.like("attack", NO_DEFENSE, (attack,))
    label = f"{attack.entry.component.name} on the training rows, seed {seed}"
    return specs.add(Job(work, label, spec, (), like, resources=specs.resources(NO_DEFENSE, attack)))
