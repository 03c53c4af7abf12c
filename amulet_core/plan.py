"""Planning: which fits, banks and plays a request needs, equal ones merged, and which cell each play fills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from amulet_core.components import Resources
from amulet_core.errors import RequestError
from amulet_core.facts import DataFacts
from amulet_core.fingerprint import code_of, environment, packages_of
from amulet_core.games.threats import MembershipThreat, PoisoningThreat
from amulet_core.jobs import AttackWork, BankWork, FitWork, Job, PoisonedPlayWork, PoisonWork, Recipe, WorstWork
from amulet_core.layout import Place, layout_of, wanted
from amulet_core.plan_problems import attack_problems, request_problems
from amulet_core.request import Request, RiskPlan, RowPlan, Use, attack_of, defense_of

WORST = "worst case"
Stack = tuple[Place, ...]
"""The models that one job trains."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell and the job that fills it, or the reason why it is skipped."""

    row: str
    risk: str
    attack: str
    control: bool
    seed: int
    adversary: str
    job: str
    skipped: str = ""


@dataclass(frozen=True)
class Plan:
    """The jobs by key, each after what it needs, and the cells."""

    jobs: dict[str, Job]
    cells: tuple[PlannedCell, ...]


def plan(request: Request, facts: DataFacts) -> Plan:
    """Plan a request on data of which these facts are known.

    Raises:
        RequestError: if a data set, model, defense, metric or threat model cannot be used on such data.
    """
    problems = request_problems(request, facts.data_schema)
    if problems:
        raise RequestError(*problems)
    planner = _Planner(request, facts)
    for row in request.rows:
        for risk in request.risks:
            for seed in range(request.seeds):
                planner.add(row, risk, seed)
    return Plan(planner.jobs, tuple(planner.cells))


class _Planner:
    def __init__(self, request: Request, facts: DataFacts) -> None:
        schema = facts.data_schema
        self._request, self._schema, self._layout = request, schema, layout_of(request, schema)
        self.jobs: dict[str, Job] = {}
        self.cells: list[PlannedCell] = []
        self._code = lru_cache(maxsize=None)(code_of)
        self._common = {
            "environment": environment(),
            "dataset": self._versioned(request.dataset),
            "content": facts.content,
            "data": request.data.model_dump(mode="json"),
            "blocks": self._layout.blocks,
            "pairs": self._layout.pairs,
            "root_seed": request.root_seed,
            "threads": request.threads_per_job,
        }
        places, size = self._layout.places(), request.stack
        stacks = [places[i : i + size] for i in range(0, len(places), size)]
        self._stacks = {place: stack for stack in stacks for place in stack}
        self._made: dict[tuple[str, str, Stack], str] = {}

    def add(self, row: RowPlan, risk: RiskPlan, seed: int) -> None:
        """Plan every cell of one row, risk and seed."""
        played = []
        controls = self._controls(row, risk, seed)
        for attack in risk.attacks or (None,):
            reason = self._inapplicable(row, risk, attack)
            control = bool(attack and attack_of(attack).control)
            if reason:
                key = ""
            elif control and attack is not None and attack.id in controls:
                key = controls[attack.id]
            elif risk.game.poisons:
                key = self._poisoned_play(row, risk, attack, seed)
            else:
                key = self._play(row, risk, attack, seed, beside=tuple(controls.values()))
            self.cells.append(
                PlannedCell(
                    row=row.label,
                    risk=risk.game.risk,
                    attack=attack.id if attack else "",
                    control=control,
                    seed=seed,
                    adversary=self._adversary(row, risk, attack),
                    job=key,
                    skipped=reason,
                )
            )
            if key and attack and not control:
                played.append(key)
        if len(played) > 1 and risk.game.joins:
            self._worst(row, risk, seed, played)

    def _controls(self, row: RowPlan, risk: RiskPlan, seed: int) -> dict[str, str]:
        """Plan the controls that attacks are set beside: once for all rows, where they see nothing of the victim."""
        if not risk.game.compares:
            return {}
        found = {}
        for use in risk.attacks:
            if attack_of(use).control and not self._inapplicable(row, risk, use):
                blind = attack_of(use).access == "none"
                of = next(other for other in self._request.rows if other.kind == "none") if blind else row
                found[use.id] = self._play(of, risk, use, seed)
        return found

    def _versioned(self, use: Use) -> dict[str, Any]:
        """Return all that a used component is a function of: its id, its parameters, its version and its code."""
        code = [self._code(package) for package in packages_of(use.entry)]
        return {**use.canonical(), "version": use.entry.component.version, "code": code}

    def _add(self, job: Job) -> str:
        self.jobs.setdefault(job.key, job)
        return job.key

    def _recipe(self, row: RowPlan) -> Recipe:
        return Recipe(self._request.model, row.chain, self._request.training)

    def _recipe_spec(self, row: RowPlan) -> dict[str, Any]:
        return {
            **self._common,
            "model": self._versioned(self._request.model),
            "chain": [self._versioned(use) for use in row.chain],
            "training": self._request.training.model_dump(mode="json"),
            "placebo": row.kind == "placebo",
        }

    def _released(self, row: RowPlan) -> dict[str, Any]:
        """Describe what stands between a trained model and who asks it."""
        return {"released": [self._versioned(use) for use in row.chain if "inference" in defense_of(use).stages]}

    def _once(self, kind: str, row: RowPlan, stack: Stack, job: Callable[[RowPlan, Stack], Job]) -> str:
        """Return the key of a job that many plays share, which is described for the first of them alone."""
        made = (kind, row.label, stack)
        if made not in self._made:
            self._made[made] = self._add(job(row, stack))
        return self._made[made]

    def _fit(self, row: RowPlan, places: Stack) -> Job:
        row = replace(row, chain=_trained(row.chain))
        spec = {**self._recipe_spec(row), "places": [[place.block, place.index] for place in places]}
        work = FitWork(self._recipe(row), places, row.kind == "placebo", self._request.root_seed)
        label = f"train {row.label} ({len(places)} models)"
        like = self._like("train", row, (), models=len(places), training=spec["training"])
        size = len(places) * self._request.training.epochs * self._request.data.train
        return Job(work, label, spec, like=like, size=size, resources=self._resources(row))

    def _bank(self, row: RowPlan, stack: Stack) -> Job:
        fit = self._once("fit", row, stack, self._fit)
        like, resources = self._like("ask", row, ()), self._resources(row)
        work, label = BankWork(self._recipe(row)), f"ask {row.label}'s models"
        return Job(work, label, self._released(row), (fit,), like, resources=resources)

    def _play(
        self, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int, *, beside: tuple[str, ...] = ()
    ) -> str:
        victim = self._layout.victim(seed)
        fit = self._once("fit", row, self._stacks[victim], self._fit)
        shadows = self._layout.shadows(seed)[: wanted(attack, self._schema)]
        trained = self._shadow_row(row, risk)
        stacks = dict.fromkeys(self._stacks[place] for place in shadows)
        banks = [self._once("bank", trained, stack, self._bank) for stack in stacks]
        spec = {
            **self._released(row),
            "risk": risk.game.risk,
            "threat": risk.threat.model_dump(mode="json"),
            "attack": self._versioned(attack) if attack else None,
            "metrics": [self._versioned(use) for use in risk.metrics],
            "seed": seed,
            "victim": [victim.block, victim.index],
            "shadows": [[place.block, place.index] for place in shadows],
        }
        work = AttackWork(
            recipe=self._recipe(row),
            risk=risk,
            attack=attack,
            seed=seed,
            root_seed=self._request.root_seed,
            victim=victim,
            shadows=shadows,
            adaptive=trained.chain == row.chain,
        )
        name = attack.entry.component.name if attack else risk.game.risk
        used = (attack, *risk.metrics) if attack else risk.metrics
        like = self._like("attack", row, used, threat=spec["threat"])
        resources = self._resources(row, *used)
        return self._add(
            Job(work, f"{name} on {row.label}, seed {seed}", spec, (fit, *banks, *beside), like, resources=resources)
        )

    def _poisoned_play(self, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
        """Plan the attack on every seed's rows, one fit of their victims, and the comparison with the clean one."""
        assert attack is not None
        seeds = {self._layout.victim(other): other for other in range(self._request.seeds)}
        victims = tuple(seeds)
        size, victim = self._request.stack, self._layout.victim(seed)
        start = victims.index(victim) // size * size
        stack = victims[start : start + size]
        poisons = {place: self._poison(risk, attack, place, seeds[place]) for place in stack}
        clean = self._once("fit", row, self._stacks[victim], self._fit)
        # Where nothing may be poisoned the clean victim is the poisoned one, whatever stack it was trained in.
        rate = cast("PoisoningThreat", risk.threat).rate
        fits = (self._poisoned_fit(row, attack, stack, tuple(poisons.values())), clean) if rate else (clean,)
        spec = {
            **self._released(row),
            "risk": risk.game.risk,
            "threat": risk.threat.model_dump(mode="json"),
            "metrics": [self._versioned(use) for use in risk.metrics],
            "seed": seed,
            "victim": [victim.block, victim.index],
        }
        work = PoisonedPlayWork(self._recipe(row), risk, victim, seed, self._request.root_seed)
        label = f"{attack.entry.component.name} on {row.label}, seed {seed}"
        like = self._like("observe", row, risk.metrics)
        return self._add(Job(work, label, spec, (poisons[victim], *fits), like, resources=self._resources(row)))

    def _poisoned_fit(self, row: RowPlan, attack: Use, stack: Stack, poisons: tuple[str, ...]) -> str:
        plain = self._fit(row, stack)
        return self._add(
            replace(
                plain,
                work=replace(cast("FitWork", plain.work), poisoned=True),
                label=f"train {row.label} on rows poisoned by {attack.entry.component.name} ({len(stack)} models)",
                needs=poisons,
            )
        )

    def _poison(self, risk: RiskPlan, attack: Use, place: Place, seed: int) -> str:
        spec = {
            **self._common,
            "threat": risk.threat.model_dump(mode="json"),
            "attack": self._versioned(attack),
            "place": [place.block, place.index],
            "seed": seed,
        }
        work = PoisonWork(risk, attack, place, seed, self._request.root_seed)
        like = self._like("attack", RowPlan("", "none"), (attack,))
        label = f"{attack.entry.component.name} on the training rows, seed {seed}"
        resources = self._resources(RowPlan("", "none"), attack)
        return self._add(Job(work, label, spec, (), like, resources=resources))

    def _worst(self, row: RowPlan, risk: RiskPlan, seed: int, played: Sequence[str]) -> None:
        spec = {"risk": risk.game.risk, "metrics": [self._versioned(use) for use in risk.metrics]}
        label = f"worst case of {risk.game.risk} on {row.label}, seed {seed}"
        work, like = WorstWork(risk, self._request.root_seed, seed), self._like("join", row, risk.metrics)
        key = self._add(Job(work, label, spec, tuple(played), like))
        self.cells.append(PlannedCell(row.label, risk.game.risk, WORST, False, seed, "", key))

    def _like(self, kind: str, row: RowPlan, uses: Sequence[Use], **more: Any) -> tuple[dict[str, Any], ...]:
        """Describe jobs that take about as long: all settings alike; or else trainings by size, others by any chain."""
        request = self._request
        common = [use.canonical() for use in (request.dataset, request.model)]
        chain = [use.canonical() for use in row.chain if kind != "join"]
        own = {"kind": kind, "uses": [use.canonical() for use in uses], "data": request.data.model_dump(mode="json")}
        roughly = {"kind": kind, "of": [*common, *(use.id for use in row.chain)]} if kind == "train" else own | more
        return {**own, **more, "common": common, "chain": chain}, {**roughly, "common": common}

    def _resources(self, row: RowPlan, *uses: Use) -> Resources:
        """Return the largest need of the components that a job uses."""
        needs = [use.entry.component.resources for use in (self._request.model, *row.chain, *uses)]
        return Resources(
            cpus=max(self._request.threads_per_job, *(need.cpus for need in needs)),
            gpus=max(need.gpus for need in needs),
            memory_gb=max(need.memory_gb for need in needs),
        )

    def _shadow_row(self, row: RowPlan, risk: RiskPlan) -> RowPlan:
        threat = risk.threat
        if isinstance(threat, MembershipThreat) and threat.shadow == "undefended":
            return next(other for other in self._request.rows if other.kind == "none")
        return row

    def _inapplicable(self, row: RowPlan, risk: RiskPlan, attack: Use | None) -> str:
        if attack is None:
            return ""
        return "; ".join(attack_problems(self._request, self._schema, row, risk, attack))

    def _adversary(self, row: RowPlan, risk: RiskPlan, attack: Use | None) -> str:
        if attack is None or attack_of(attack).control:
            return "none"
        if wanted(attack, self._schema):
            return (
                "adaptive"
                if self._shadow_row(row, risk).chain == row.chain
                else "not adaptive: undefended shadow models"
            )
        access = attack_of(attack).access
        if risk.game.poisons:
            return "changes training rows, and sees no model"
        return (
            "adaptive: attacks the defended model itself"
            if access == "white-box"
            else "sees the defended model's outputs"
        )


def _trained(chain: tuple[Use, ...]) -> tuple[Use, ...]:
    """Leave out the defenses that act on predictions alone: no training depends on them."""
    return tuple(use for use in chain if set(defense_of(use).stages) != {"inference"})
