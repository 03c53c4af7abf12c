"""What keeps a request, or one attack on one row, from being run on such data; known before anything runs. Light."""

from collections.abc import Iterator

from amulet_core.chains import data_problems
from amulet_core.games.threats import PoisoningThreat
from amulet_core.request import Request, RiskPlan, RowPlan, Use, attack_of, defense_of
from amulet_core.schema import DataSchema


def request_problems(request: Request, schema: DataSchema) -> list[str]:
    """List every reason why the request cannot be run on such data; attacks are skipped cell by cell instead."""
    problems = data_problems(request.model, schema, "model")
    for row in request.rows:  # members that were put beside their chain are looked at in the chain's own row
        for use in row.chain if row.path else ():
            problems += data_problems(use, schema, f"{row.path} ({row.label})")
    for risk in request.risks:
        path = f"risks.{risk.game.risk}"
        for use in risk.metrics:
            problems += data_problems(use, schema, f"{path}.metrics")
        problems += [f"{path}.threat: {text}" for text in threat_problems(risk, schema, rows=request.data.train)]
    return problems


def threat_problems(risk: RiskPlan, schema: DataSchema, *, rows: int) -> list[str]:
    """List what a threat model asks of the data, or of the ``rows`` that train a model, that they do not have."""
    if isinstance(risk.threat, PoisoningThreat):
        return _poisoning_problems(risk.threat, schema, rows)
    if risk.game.risk != "discriminatory-behavior":
        return []
    names = [attribute.name for attribute in schema.sensitive]
    wanted = getattr(risk.threat, "attribute", "")
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


def attack_problems(request: Request, schema: DataSchema, row: RowPlan, risk: RiskPlan, attack: Use) -> Iterator[str]:
    """Yield the reasons why an attack cannot be played on a row, which is then skipped there."""
    yield from data_problems(attack, schema, "not applicable")
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
