"""Planning of the two games of ownership: theft at every budget, and who claims what was stolen."""

from typing import Any, Final

from amulet_core.configuration.request import RiskPlan, RowPlan, Use, attack_of, verifiers
from amulet_core.games.threats import Interface, TheftThreat, VerificationThreat
from amulet_core.planning.job_specs import NO_DEFENSE, JobSpecs, stacked
from amulet_core.planning.jobs import IndependentWork, Job, TheftPlayWork, TheftWork, VerificationPlayWork
from amulet_core.planning.problems import attack_problems

_INTERFACE: Final = tuple(Interface.model_fields)


def theft_play(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
    """Plan a theft at every budget, the independent model (if one can be made), and the comparison with the victim."""
    threat, victim = risk.threat, specs.layout.victim(seed)
    assert isinstance(threat, TheftThreat)
    assert attack is not None
    thefts = [_theft(specs, row, risk, attack, _interface(threat, budget), seed) for budget in threat.budgets]
    controls = _controls(specs, row, risk)[:1]
    independent = [_theft(specs, row, risk, use, _interface(threat, threat.budget), seed) for use in controls]
    spec = _play_spec(specs, row, risk, seed)
    work = TheftPlayWork(specs.recipe(row), risk, attack, controls, victim, seed, specs.request.root_seed)
    label = f"{attack.entry.component.name} on {row.label}, seed {seed}"
    like, resources = specs.like("observe", row, risk.metrics), specs.resources(row, *risk.metrics)
    needs = (specs.fit_of(row, victim), *independent, *thefts)
    return specs.add(Job(work, label, spec, needs, like, resources=resources))


def _controls(specs: JobSpecs, row: RowPlan, risk: RiskPlan) -> tuple[Use, ...]:
    """Return the controls that can be played on the row."""
    return tuple(
        use
        for use in risk.attacks
        if attack_of(use).control and not any(attack_problems(specs.request, specs.facts, row, risk, use))
    )


def verification_play(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
    """Plan a theft, the scores of models that have nothing to do with the owner, and those of what was stolen."""
    threat, victim = risk.threat, specs.layout.victim(seed)
    assert isinstance(threat, VerificationThreat)
    assert attack is not None
    theft = _theft(specs, row, risk, attack, _interface(threat, threat.budget), seed)
    undefended = next(other for other in specs.request.rows if other.kind == "none")
    needs = (specs.fit_of(row, victim), specs.fit_of(undefended, victim), theft, _scores(specs, row, risk, seed))
    spec = _play_spec(specs, row, risk, seed) | {"verifies": specs.versioned(verifiers(row)[0]), "attack": attack.id}
    work = VerificationPlayWork(specs.recipe(row), risk, attack, victim, seed, specs.request.root_seed)
    label = f"ownership of {row.label} after {attack.entry.component.name}, seed {seed}"
    like, resources = specs.like("attack", row, risk.metrics), specs.resources(row, *risk.metrics)
    return specs.add(Job(work, label, spec, needs, like, resources=resources))


def _play_spec(specs: JobSpecs, row: RowPlan, risk: RiskPlan, seed: int) -> dict[str, Any]:
    return {
        **specs.released(row),
        "risk": risk.game.risk,
        "threat": risk.threat.model_dump(mode="json"),
        "metrics": [specs.versioned(use) for use in risk.metrics],
        "seed": seed,
        "victim": list(specs.layout.victim(seed).key),
    }


def _interface(threat: Interface, budget: int) -> Interface:
    """Return what a thief is told and how often, without what only the comparison depends on: thefts are shared."""
    return Interface(**{name: getattr(threat, name) for name in _INTERFACE} | {"budget": budget})


def _theft(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use, interface: Interface, seed: int) -> str:
    victim, sees = specs.layout.victim(seed), attack_of(attack).access
    told = interface if sees not in ("none", "white-box") else Interface()
    row = row if sees != "none" else NO_DEFENSE
    spec: dict[str, Any] = {
        "attack": specs.versioned(attack),
        "interface": told.model_dump(mode="json") if sees not in ("none", "white-box") else None,
        "seed": seed,
        "victim": list(victim.key),
    }
    if sees == "none":
        spec |= {**specs.common, "model": specs.versioned(specs.request.model)}
        spec["training"] = specs.request.training.model_dump(mode="json")
    else:
        spec |= specs.released(row)
    work = TheftWork(specs.recipe(row), risk, attack, told, victim, seed, specs.request.root_seed)
    asks = f", {told.budget} queries" if sees not in ("none", "white-box") else ""
    label = f"{attack.entry.component.name} of {row.label or 'no victim'}{asks}, seed {seed}"
    needs = () if sees == "none" else (specs.fit_of(row, victim),)
    like = specs.like("attack", row, (attack,), interface=spec["interface"])
    return specs.add(Job(work, label, spec, needs, like, resources=specs.resources(row, attack)))


def _scores(specs: JobSpecs, row: RowPlan, risk: RiskPlan, seed: int) -> str:
    threat, victim = risk.threat, specs.layout.victim(seed)
    assert isinstance(threat, VerificationThreat)
    places, half = specs.layout.independent(seed, threat.independent), threat.independent // 2
    undefended = next(other for other in specs.request.rows if other.kind == "none")
    size = specs.request.stack
    fits = [specs.fit(row, stack) for stack in stacked(places[:half], size)]
    fits += [specs.fit(undefended, stack) for stack in stacked(places[half:], size)]
    spec = {
        "verifies": specs.versioned(verifiers(row)[0]),
        "places": [list(place.key) for place in places],
        "victim": list(victim.key),
        "seed": seed,
    }
    work = IndependentWork(specs.recipe(row), risk, places, victim, seed, specs.request.root_seed)
    label = f"{row.label}'s owner asks {threat.independent} independent models, seed {seed}"
    needs = (specs.fit_of(row, victim), *fits)
    return specs.add(
        Job(work, label, spec, needs, specs.like("attack", row, (), pool=len(places)), resources=specs.resources(row))
    )
