"""Planning: which jobs a request needs, equal ones merged, and which cell each play fills."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from amulet_core.configuration.chains import alike
from amulet_core.configuration.request import Request, RiskPlan, RowPlan, Use, attack_of
from amulet_core.errors import RequestError
from amulet_core.planning.audits import audit_play
from amulet_core.planning.contests import contest, joined, shadow_row
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.job_specs import JobSpecs
from amulet_core.planning.jobs import Job
from amulet_core.planning.layout import wanted
from amulet_core.planning.ownership import theft_play, verification_play
from amulet_core.planning.poisoning import poisoned_play
from amulet_core.planning.populations import distribution_play
from amulet_core.planning.problems import attack_problems, plan_warnings, request_problems

_PLAYS: Final = {
    "contest": contest,
    "poisoning": poisoned_play,
    "theft": theft_play,
    "verification": verification_play,
    "populations": distribution_play,
    "audit": audit_play,
}


_BEFOREHAND: Final = {
    "poisoning": "changes training rows, and sees no model",
    "audit": "knows the audit rows, and guesses which were trained on",
}
"""What adversaries know or do before anything is trained, whatever they see afterwards."""


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
    """The jobs by key, each after what it needs, the cells, and what a reader of the results must know beforehand."""

    jobs: Mapping[str, Job]
    cells: tuple[PlannedCell, ...]
    warnings: tuple[str, ...] = ()


def plan(request: Request, facts: DataFacts) -> Plan:
    """Plan a request on data of which these facts are known.

    Raises:
        RequestError: if a data set, model, defense, metric or threat model cannot be used on such data.
    """
    problems = request_problems(request, facts)
    if problems:
        raise RequestError(*problems)
    specs = JobSpecs(request, facts)
    cells = [
        cell
        for row in request.rows
        for risk in request.risks
        for seed in range(request.seeds)
        for cell in _cells(specs, row, risk, seed)
    ]
    return Plan(specs.jobs, tuple(cells), plan_warnings(request, facts))


def _cells(specs: JobSpecs, row: RowPlan, risk: RiskPlan, seed: int) -> list[PlannedCell]:
    """Plan every cell of one row, risk and seed."""
    cells = [_cell(specs, row, risk, attack, seed) for attack in risk.attacks or (None,)]
    played = [cell.job for cell in cells if cell.job and cell.attack and not cell.control]
    if len(played) > 1 and risk.game.joins:
        key = joined(specs, row, risk, seed, played)
        cells.append(PlannedCell(row.label, risk.game.risk, risk.game.joined, False, seed, "", key))
    return cells


def _cell(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None, seed: int) -> PlannedCell:
    reason = _inapplicable(specs, row, risk, attack)
    return PlannedCell(
        row=row.label,
        risk=risk.game.risk,
        attack=attack.id if attack else "",
        control=bool(attack and attack_of(attack).control),
        seed=seed,
        adversary=_adversary(specs, row, risk, attack),
        job="" if reason else _PLAYS[risk.game.play](specs, row, risk, attack, seed),
        skipped=reason,
    )


def _inapplicable(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None) -> str:
    if attack is None:
        return ""
    return "; ".join(attack_problems(specs.request, specs.facts, row, risk, attack))


def _adversary(specs: JobSpecs, row: RowPlan, risk: RiskPlan, attack: Use | None) -> str:
    if attack is None or attack_of(attack).control:
        return "none"
    if wanted(attack, specs.schema) or risk.game.play == "populations":
        adaptive = alike(shadow_row(specs, row, risk).chain, row.chain)
        return "adaptive" if adaptive else "not adaptive: undefended shadow models"
    if risk.game.play in _BEFOREHAND:
        return _BEFOREHAND[risk.game.play]
    white = attack_of(attack).access == "white-box"
    if risk.game.play == "verification":
        return "copies the model, and washes the copy" if white else "imitates the model, and washes the imitation"
    if attack_of(attack).access == "gradients":
        return "sees gradients that the defended recipe releases"
    return "adaptive: attacks the defended model itself" if white else "sees the defended model's outputs"
