"""Planning of distribution inference: two populations of victims, two of the adversary's own models, and the play."""

from amulet_core.configuration.request import RiskPlan, RowPlan, Use
from amulet_core.games.threats import DistributionThreat
from amulet_core.planning.contests import shadow_row
from amulet_core.planning.job_specs import JobSpecs, stacked
from amulet_core.planning.jobs import DistributionPlayWork, Job
from amulet_core.planning.ratios import hypotheses


def distribution_play(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
    """Plan the models of both hypotheses, victims and the adversary's own, and an attack that tells them apart."""
    threat, request = risk.threat, specs.request
    assert isinstance(threat, DistributionThreat)
    assert attack is not None
    told, own = hypotheses(threat, specs.facts, request.data), shadow_row(specs, row, risk)
    victims = specs.layout.populations(seed, told, side="victims", models=threat.victims)
    models = specs.layout.populations(seed, told, side="adversary", models=threat.models)
    fits = [specs.fit(row, stack) for stack in stacked(victims, request.stack)]
    fits += [specs.fit(own, stack) for stack in stacked(models, request.stack)]
    spec = {
        **specs.released(row),
        "own": specs.released(own),
        "risk": risk.game.risk,
        "threat": threat.model_dump(mode="json"),
        "attack": specs.versioned(attack),
        "metrics": [specs.versioned(use) for use in risk.metrics],
        "victims": [list(place.key) for place in victims],
        "models": [list(place.key) for place in models],
        "queries": [told.population("queries", hypothesis).text for hypothesis in (0, 1)],
        "seed": seed,
    }
    work = DistributionPlayWork(
        recipe=specs.recipe(row),
        own=specs.recipe(own),
        risk=risk,
        attack=attack,
        victims=victims,
        models=models,
        told=told,
        seed=seed,
        root_seed=request.root_seed,
    )
    used = (attack, *risk.metrics)
    like, resources = specs.like("attack", row, used, threat=spec["threat"]), specs.resources(row, *used)
    label = f"{attack.entry.component.name} on {row.label}'s populations, seed {seed}"
    return specs.add(Job(work, label, spec, tuple(fits), like, resources=resources))
