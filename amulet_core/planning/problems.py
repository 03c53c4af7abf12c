"""What keeps a request, or one attack on one row, from being run on such data; known before anything runs. Light."""

from collections.abc import Iterator
from dataclasses import replace

from amulet_core.configuration.chains import doubts, remaking, run_problems
from amulet_core.configuration.request import DataSettings, Request, RiskPlan, RowPlan, Use, attack_of, defense_of
from amulet_core.errors import did_you_mean, doing
from amulet_core.games.threats import (
    AttributeThreat,
    DiscriminationThreat,
    DistributionThreat,
    PoisoningThreat,
    ReconstructionThreat,
    TheftThreat,
    VerificationThreat,
)
from amulet_core.planned import Planned
from amulet_core.planning.audits import audit_problems, skip_reasons
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.layout import Layout
from amulet_core.planning.ownership_problems import budget_problems, ownership_problems, verification_problems
from amulet_core.planning.population_problems import population_problems
from amulet_core.planning.sizes import size_problems, sizes_of
from amulet_core.schema import DataSchema


def planned_run(request: Request, facts: DataFacts) -> Planned:
    """Return what is known of a run, but for the threat models, which each risk has of its own."""
    data = request.data
    return Planned(
        schema=facts.data_schema,
        class_rows=facts.class_rows,
        group_rows=facts.group_rows,
        train=data.train,
        val=data.val,
        test=data.test,
        aux=data.aux,
        training=request.training,
        cells=facts.cells,
    )


def request_problems(request: Request, facts: DataFacts) -> list[str]:
    """List every reason why the request cannot be run on such data; attacks are skipped cell by cell instead."""
    planned, schema = planned_run(request, facts), facts.data_schema
    problems = _row_problems(request, facts) + run_problems(request.model, planned, "model")
    for row in request.rows:  # members that were put beside their chain are looked at in the chain's own row
        for use in row.chain if row.path else ():
            problems += run_problems(use, planned, f"{row.path} ({row.label})")
    for risk in request.risks:
        path = f"risks.{risk.game.risk}"
        for use in risk.metrics:
            problems += run_problems(use, replace(planned, threat=risk.threat), f"{path}.metrics")
        problems += [f"{path}.threat: {text}" for text in threat_problems(risk, schema, data=request.data)]
        if isinstance(risk.threat, DistributionThreat):
            problems += [f"{path}.threat: {text}" for text in population_problems(request, facts, planned, risk.threat)]
        if risk.game.play == "audit":
            problems += [f"{path}.threat: {text}" for text in audit_problems(request, planned, risk)]
    return problems


def plan_warnings(request: Request, facts: DataFacts) -> tuple[str, ...]:
    """Return what defenses cannot stand of the threat models of their own risks, each once; nothing is refused."""
    planned = planned_run(request, facts)
    found = [
        text
        for row in request.rows
        for use in row.chain
        for risk in request.risks
        if risk.game.risk == defense_of(use).risk
        for text in doubts(use, replace(planned, threat=risk.threat), f"risks.{risk.game.risk}")
    ]
    return tuple(dict.fromkeys(found))


def _row_problems(request: Request, facts: DataFacts) -> list[str]:
    data = request.data
    sizes = sizes_of(data)
    blocks = Layout(data.design, request.seeds, shadow_models=0).blocks
    return size_problems(sizes, blocks=blocks, classes=facts.data_schema.classes, class_rows=facts.class_rows)


def threat_problems(risk: RiskPlan, schema: DataSchema, *, data: DataSettings) -> list[str]:
    """List what a threat model asks of the data, or of the number of rows, that they do not have."""
    match risk.threat:
        case PoisoningThreat():
            problems = _poisoning_problems(risk.threat, schema, data.train)
        case TheftThreat():
            problems = budget_problems(max(risk.threat.budgets), data)
        case VerificationThreat():
            problems = verification_problems(risk.threat, data)
        case ReconstructionThreat():
            problems = _batch_problems(risk.threat, data)
        case AttributeThreat():
            problems = _withheld_problems(risk.threat, schema) + _attribute_problems(risk.threat.attribute, schema)
        case DiscriminationThreat():
            problems = _attribute_problems(risk.threat.attribute, schema)
        case _:
            problems = []
    return problems


def _attribute_problems(wanted: str, schema: DataSchema) -> list[str]:
    names = [attribute.name for attribute in schema.sensitive]
    if names and wanted and wanted not in names:
        return [f'the data set has no sensitive attribute "{wanted}"; it has {", ".join(names)}']
    return []


def _withheld_problems(threat: AttributeThreat, schema: DataSchema) -> list[str]:
    if threat.without and threat.knows == "class":
        return [
            f"without names {', '.join(threat.without)}, but an adversary that knows the class alone has no columns"
        ]
    columns = list(dict.fromkeys(name.split("=")[0] for name in schema.features))
    if threat.without and not columns:
        return [f"without names {', '.join(threat.without)}, but the features of this data set have no names"]
    return [
        f'without names the unknown column "{name}"{did_you_mean(name, columns)} There are: {", ".join(columns)}.'
        for name in threat.without
        if not schema.columns(name)
    ]


def _poisoning_problems(threat: PoisoningThreat, schema: DataSchema, rows: int) -> list[str]:
    problems = []
    if threat.target and threat.target not in schema.classes:
        problems.append(f'the data set has no class "{threat.target}"; it has {", ".join(schema.classes)}')
    if 0 < threat.rate * rows < 1:
        problems.append(f"a rate of {threat.rate:g} is less than one of {rows} training rows: raise it, or set it to 0")
    return problems


def _batch_problems(threat: ReconstructionThreat, data: DataSettings) -> list[str]:
    needed = threat.gradients * threat.batch
    if needed <= data.train:
        return []
    return [
        f"{threat.gradients} gradients of {threat.batch} rows each need {needed} training rows, and there are "
        f"{data.train}: lower gradients or batch"
    ]


def attack_problems(request: Request, facts: DataFacts, row: RowPlan, risk: RiskPlan, attack: Use) -> Iterator[str]:
    """Yield the reasons why an attack cannot be played on a row, which is then skipped there."""
    planned = replace(planned_run(request, facts), threat=risk.threat)
    yield from run_problems(attack, planned, "not applicable")
    yield from ownership_problems(request, row, risk)
    if risk.game.play == "audit":
        yield from skip_reasons(row, attack, facts.data_schema)
    access = attack_of(attack).access
    differentiable = getattr(request.model.entry.component, "differentiable", True)
    if access in ("white-box", "gradients") and not differentiable:
        yield f"{attack.id} needs gradients, and {request.model.id} has none"
    yield from _lacking(request, row, attack)
    if access == "gradients":
        yield from _gradient_problems(request, row, risk, attack)
    yield from _told_problems(row, risk, attack)
    if attack_of(attack).sensitive_in_x:
        yield from _encoding_problems(attack, facts.data_schema, getattr(risk.threat, "attribute", ""))
        yield from _asking_problems(risk, attack)
    norm, norms = getattr(risk.threat, "norm", None), attack_of(attack).norms
    if norm is not None and norm not in norms:
        yield f"{attack.id} keeps to budgets in {' or '.join(norms)}, the threat model's norm is {norm}"


def _told_problems(row: RowPlan, risk: RiskPlan, attack: Use) -> Iterator[str]:
    """Yield what the attack reads of answers, and the threat model or the row's defenses do not release."""
    access = attack_of(attack).access
    told = getattr(risk.threat, "oracle", "probabilities")
    if access == "probabilities" and told != "probabilities":
        yield f"{attack.id} needs all probabilities, and the threat model's oracle tells {told}"
    hiding = [use.id for use in row.chain if defense_of(use).labels_only]
    if access == "probabilities" and hiding:
        yield f"{attack.id} needs probabilities, and {doing(hiding, 'releases', 'release')} labels only"
    if attack_of(attack).reads_explanations and not any(defense_of(use).explain for use in row.chain):
        yield f'{attack.id} reads explanations, and no defense of the row "{row.label}" releases any'


def _lacking(request: Request, row: RowPlan, attack: Use) -> Iterator[str]:
    """Yield what the attack reads of a model, and this architecture has not, or a defense leaves none of."""
    needs = attack_of(attack).requires
    lacking = [need for need in needs if need not in request.model.entry.component.produces]
    if lacking:
        yield f"{attack.id} needs an architecture with {', '.join(lacking)}, and {request.model.id} declares none"
    for use in row.chain:
        gone = [need for need in needs if need in defense_of(use).unmakes]
        if gone:
            yield f"{attack.id} needs a model with {', '.join(gone)}, and those that {use.id} makes have none"


def _gradient_problems(request: Request, row: RowPlan, risk: RiskPlan, attack: Use) -> Iterator[str]:
    """Yield why a gradient of the row's objective would not be what its recipe releases."""
    if getattr(request.model.entry.component, "trains_itself", False):
        yield f"{attack.id} needs gradients that training releases, and {request.model.id} trains itself"
    wrapping = [use.id for use in row.chain if defense_of(use).wraps_fit]
    if wrapping:
        more = doing(
            wrapping,
            "does more in training than its objective says (drops or moves rows, trains further models, changes the "
            "architecture or the weights)",
            "do more in training than their objectives say (drop or move rows, train further models, change the "
            "architecture or the weights)",
        )
        yield (
            f"{attack.id} sees the gradient of an objective, and {more}: such a gradient is not what the recipe "
            "releases"
        )
    remade = [use.id for use in remaking(row.chain)]
    if remade and getattr(risk.threat, "taken_at", "") == "end":
        yield (
            f"{attack.id} takes gradients at the victim's weights (taken_at: end), and "
            f"{doing(remade, 'puts', 'put')} the architecture into a module of its own: set taken_at to start"
        )


def _asking_problems(risk: RiskPlan, attack: Use) -> Iterator[str]:
    """Yield what an adversary that puts values into whole rows does not know of them."""
    withheld = ("the row",) if getattr(risk.threat, "knows", "row") == "class" else getattr(risk.threat, "without", ())
    if withheld:
        yield (
            f"{attack.id} asks the victim about rows with each value put in, and this adversary could not: the "
            f"threat model withholds {', '.join(withheld)}"
        )


def _encoding_problems(attack: Use, schema: DataSchema, name: str) -> Iterator[str]:
    names = [one.name for one in schema.sensitive]
    if not names or (name and name not in names):
        return  # an error of the request
    attribute = names.index(name) if name else 0
    if schema.one_hot_of(attribute):
        return
    how, remedy = "not", "put the sensitive columns among them (sensitive_in_x, where the data set has it)"
    if schema.sensitive[attribute].features:
        how, remedy = "not as one feature a value", "make it categorical, where the data set can, or choose another"
    yield (
        f"{attack.id} puts each value of {names[attribute]} into the victim's inputs, and it is {how} among them: "
        f"{remedy}"
    )
