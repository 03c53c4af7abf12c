"""Planning: which fits, banks and plays a request needs, equal ones merged, and which cell each play fills."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from amulet_core.chains import data_problems
from amulet_core.errors import RequestError
from amulet_core.games.threats import MembershipThreat
from amulet_core.jobs import AttackWork, BankWork, FitWork, Job, Recipe, WorstWork
from amulet_core.layout import Place, layout_of, wanted
from amulet_core.request import Request, RiskPlan, RowPlan, Use, attack_of, defense_of
from amulet_core.schema import DataSchema

WORST = "worst case"


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
    victims: dict[str, tuple[str, Place]]
    """For every row: the fit and the place of the first seed's victim (its evidence is shown)."""


def plan(request: Request, schema: DataSchema) -> Plan:
    """Plan a request on data of this schema.

    Raises:
        RequestError: if a data set, model, defense, metric or threat model cannot be used on such data.
    """
    problems = request_problems(request, schema)
    if problems:
        raise RequestError(*problems)
    planner = _Planner(request, schema)
    for row in request.rows:
        for risk in request.risks:
            for seed in range(request.seeds):
                planner.add(row, risk, seed)
    return Plan(planner.jobs, tuple(planner.cells), planner.victims)


def request_problems(request: Request, schema: DataSchema) -> list[str]:
    """List every reason why the request cannot be run on such data; attacks are skipped cell by cell instead."""
    problems = data_problems(request.model, schema, "model")
    for row in request.rows:
        for use in row.chain:
            problems += data_problems(use, schema, f"{row.path} ({row.label})")
    for risk in request.risks:
        path = f"risks.{risk.game.risk}"
        for use in risk.metrics:
            problems += data_problems(use, schema, f"{path}.metrics")
        problems += [f"{path}.threat: {text}" for text in threat_problems(risk, schema)]
    return problems


def threat_problems(risk: RiskPlan, schema: DataSchema) -> list[str]:
    """List what a threat model asks of the data that they do not have."""
    if risk.game.risk != "discriminatory-behavior":
        return []
    names = [attribute.name for attribute in schema.sensitive]
    wanted = getattr(risk.threat, "attribute", "")
    if names and wanted and wanted not in names:
        return [f'the data set has no sensitive attribute "{wanted}"; it has {", ".join(names)}']
    return []


def versioned(use: Use) -> dict[str, Any]:
    """Return all that a used component is a function of: its id, its parameters and its version."""
    return {**use.canonical(), "version": use.entry.component.version}


class _Planner:
    def __init__(self, request: Request, schema: DataSchema) -> None:
        self._request, self._schema, self._layout = request, schema, layout_of(request, schema)
        self.jobs: dict[str, Job] = {}
        self.cells: list[PlannedCell] = []
        self.victims: dict[str, tuple[str, Place]] = {}
        self._common = {
            "dataset": versioned(request.dataset),
            "data": request.data.model_dump(mode="json"),
            "blocks": self._layout.blocks,
            "pairs": self._layout.pairs,
            "root_seed": request.root_seed,
            "threads": request.threads_per_job,
        }
        places, size = self._layout.places(), request.stack
        self._stacks = [places[i : i + size] for i in range(0, len(places), size)]

    def add(self, row: RowPlan, risk: RiskPlan, seed: int) -> None:
        """Plan every cell of one row, risk and seed."""
        played = []
        for attack in risk.attacks or (None,):
            reason = self._inapplicable(row, risk, attack)
            key = "" if reason else self._play(row, risk, attack, seed)
            control = bool(attack and attack_of(attack).control)
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

    def _add(self, job: Job) -> str:
        self.jobs.setdefault(job.key, job)
        return job.key

    def _recipe(self, row: RowPlan) -> Recipe:
        return Recipe(self._request.model, row.chain, self._request.training)

    def _recipe_spec(self, row: RowPlan) -> dict[str, Any]:
        return {
            **self._common,
            "model": versioned(self._request.model),
            "chain": [versioned(use) for use in row.chain],
            "training": self._request.training.model_dump(mode="json"),
            "placebo": row.kind == "placebo",
        }

    def _fit(self, row: RowPlan, place: Place) -> str:
        places = next(stack for stack in self._stacks if place in stack)
        spec = {**self._recipe_spec(row), "places": [[place.block, place.index] for place in places]}
        work = FitWork(self._recipe(row), places, row.kind == "placebo", self._request.root_seed)
        return self._add(Job(work, f"train {row.label} ({len(places)} models)", spec))

    def _bank(self, row: RowPlan, place: Place) -> str:
        fit = self._fit(row, place)
        return self._add(Job(BankWork(self._recipe(row)), f"ask {row.label}'s models", {}, (fit,)))

    def _play(self, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> str:
        victim = self._layout.victim(seed)
        fit = self._fit(row, victim)
        self.victims.setdefault(row.label, (fit, victim))
        shadows = self._layout.shadows(seed)[: wanted(attack, self._schema)]
        trained = self._shadow_row(row, risk)
        banks = dict.fromkeys(self._bank(trained, place) for place in shadows)
        spec = {
            "risk": risk.game.risk,
            "threat": risk.threat.model_dump(mode="json"),
            "attack": versioned(attack) if attack else None,
            "metrics": [versioned(use) for use in risk.metrics],
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
        return self._add(Job(work, f"{name} on {row.label}, seed {seed}", spec, (fit, *banks)))

    def _worst(self, row: RowPlan, risk: RiskPlan, seed: int, played: Sequence[str]) -> None:
        spec = {"risk": risk.game.risk, "metrics": [versioned(use) for use in risk.metrics]}
        label = f"worst case of {risk.game.risk} on {row.label}, seed {seed}"
        key = self._add(Job(WorstWork(risk, self._request.root_seed, seed), label, spec, tuple(played)))
        self.cells.append(PlannedCell(row.label, risk.game.risk, WORST, False, seed, "", key))

    def _shadow_row(self, row: RowPlan, risk: RiskPlan) -> RowPlan:
        threat = risk.threat
        if isinstance(threat, MembershipThreat) and threat.shadow == "undefended":
            return next(other for other in self._request.rows if other.kind == "none")
        return row

    def _inapplicable(self, row: RowPlan, risk: RiskPlan, attack: Use | None) -> str:
        if attack is None:
            return ""
        return "; ".join([*_reasons(self._request, self._schema, row, attack), *_norm_reasons(risk, attack)])

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
        return (
            "adaptive: attacks the defended model itself"
            if access == "white-box"
            else "sees the defended model's outputs"
        )


def _reasons(request: Request, schema: DataSchema, row: RowPlan, attack: Use) -> Iterator[str]:
    yield from data_problems(attack, schema, "not applicable")
    access = attack_of(attack).access
    differentiable = getattr(request.model.entry.component, "differentiable", True)
    if access in ("white-box", "gradients") and not differentiable:
        yield f"{attack.id} needs gradients, and {request.model.id} has none"
    hiding = [use.id for use in row.chain if defense_of(use).labels_only]
    if access == "probabilities" and hiding:
        yield f"{attack.id} needs probabilities, and {' and '.join(hiding)} releases labels only"


def _norm_reasons(risk: RiskPlan, attack: Use) -> Iterator[str]:
    norm, norms = getattr(risk.threat, "norm", None), attack_of(attack).norms
    if norm is not None and norm not in norms:
        yield f"{attack.id} keeps to budgets in {' or '.join(norms)}, the threat model's norm is {norm}"
