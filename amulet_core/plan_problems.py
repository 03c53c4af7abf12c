"""What keeps a request, or one attack on one row, from being run on such data; known before anything runs. Light."""

import math
from collections.abc import Iterator

from amulet_core.chains import data_problems
from amulet_core.games.threats import (
    DiscriminationThreat,
    PoisoningThreat,
    ReconstructionThreat,
    TheftThreat,
    VerificationThreat,
)
from amulet_core.request import DataSettings, Request, RiskPlan, RowPlan, Use, attack_of, defense_of, verifiers
from amulet_core.schema import DataSchema


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
        problems += [f"{path}.threat: {text}" for text in threat_problems(risk, schema, data=request.data)]
    return problems


def threat_problems(risk: RiskPlan, schema: DataSchema, *, data: DataSettings) -> list[str]:
    """List what a threat model asks of the data, or of the number of rows, that they do not have."""
    match risk.threat:
        case PoisoningThreat():
            return _poisoning_problems(risk.threat, schema, data.train)
        case TheftThreat():
            return _budget_problems(max(risk.threat.budgets), data)
        case VerificationThreat():
            return _verification_problems(risk.threat, data)
        case ReconstructionThreat():
            return _batch_problems(risk.threat, data)
        case DiscriminationThreat():
            return _attribute_problems(risk.threat.attribute, schema)
    return []


def _attribute_problems(wanted: str, schema: DataSchema) -> list[str]:
    names = [attribute.name for attribute in schema.sensitive]
    if names and wanted and wanted not in names:
        return [f'the data set has no sensitive attribute "{wanted}"; it has {", ".join(names)}']
    return []


def _poisoning_problems(threat: PoisoningThreat, schema: DataSchema, rows: int) -> list[str]:
    problems = []
    if threat.target and threat.target not in schema.classes:
        problems.append(f'the data set has no class "{threat.target}"; it has {", ".join(schema.classes)}')
    if 0 < threat.rate * rows < 1:
        problems.append(f"a rate of {threat.rate:g} is less than one of {rows} training rows: raise it, or set it to 0")
    return problems


def _budget_problems(budget: int, data: DataSettings) -> list[str]:
    if budget <= data.aux:
        return []
    return [
        f"a budget of {budget} queries is more than the adversary's {data.aux} own rows to ask about: lower the "
        "budget, or raise data.aux"
    ]


def _verification_problems(threat: VerificationThreat, data: DataSettings) -> list[str]:
    problems = _budget_problems(threat.budget, data)
    if data.aux < data.train:
        problems.append(
            f"independent models train on {data.train} rows of aux, which has {data.aux}: raise data.aux to "
            f"{data.train} at least, better to twice as many"
        )
    least = 1 / (1 + threat.independent)
    if threat.fpr < least:
        problems.append(
            f"with {threat.independent} independent models no p-value is below {least:.4g}, and fpr is {threat.fpr:g}: "
            f"raise independent to {_enough(threat.fpr)} at least"
        )
    return problems


def _batch_problems(threat: ReconstructionThreat, data: DataSettings) -> list[str]:
    needed = threat.gradients * threat.batch
    if needed <= data.train:
        return []
    return [
        f"{threat.gradients} gradients of {threat.batch} rows each need {needed} training rows, and there are "
        f"{data.train}: lower gradients or batch"
    ]


def _enough(fpr: float) -> int:
    """Return the least even number of independent models with which a p-value can be as low as ``fpr``."""
    least = math.ceil(1 / fpr - 1 - 1e-9)
    return least + least % 2


def _ownership_problems(request: Request, row: RowPlan, risk: RiskPlan) -> Iterator[str]:
    if risk.game.play not in ("theft", "verification"):
        return
    if getattr(request.model.entry.component, "trains_itself", False):
        yield f"{request.model.id} trains itself, and thieves here imitate with the architecture of their victim"
    if risk.game.play == "verification":
        names = [use.id for use in verifiers(row)]
        if not names:
            yield "no defense of this row can verify ownership"
        if len(names) > 1:
            yield f"{' and '.join(names)} both verify ownership: measure them in rows of their own"


def attack_problems(request: Request, schema: DataSchema, row: RowPlan, risk: RiskPlan, attack: Use) -> Iterator[str]:
    """Yield the reasons why an attack cannot be played on a row, which is then skipped there."""
    yield from data_problems(attack, schema, "not applicable")
    yield from _ownership_problems(request, row, risk)
    access = attack_of(attack).access
    differentiable = getattr(request.model.entry.component, "differentiable", True)
    if access in ("white-box", "gradients") and not differentiable:
        yield f"{attack.id} needs gradients, and {request.model.id} has none"
    hiding = [use.id for use in row.chain if defense_of(use).labels_only]
    if access == "probabilities" and hiding:
        yield f"{attack.id} needs probabilities, and {' and '.join(hiding)} releases labels only"
    norm, norms = getattr(risk.threat, "norm", None), attack_of(attack).norms
    if norm is not None and norm not in norms:
        yield f"{attack.id} keeps to budgets in {' or '.join(norms)}, the threat model's norm is {norm}"
