"""A full and plausible example of results, of any size: gaps, failures, withheld values and hostile texts included."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from amulet_core.matrix.conflicts import conflicts
from amulet_core.matrix.interactions import NO_CHANGE
from amulet_core.published.tables import expected
from amulet_core.results import Cell, Column, Effect, Entry, Measured, Member, Provenance, Results, Row
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.membership import roc
from amulet_core.statistics.paired import paired_interval
from amulet_core.statistics.verdicts import Differences, EstimateOnly, Finding, NoEstimate, verdicts

BLAMED = {"blame": "builtin/dp-sgd", "traceback": "Traceback (most recent call last):\n  <script>alert(2)</script>"}
SKIPPED = "builtin/square needs probabilities, and this model gives labels only"
HOSTILE = "<script>alert(1)</script>"
REASON = "the gradient rule's noise <b>overflowed</b> & stopped"
DEFENSES = (
    ("adversarial-training", "RD1", ("Towards Deep Learning Models Resistant to Attacks", "arXiv:1706.06083")),
    ("dp-sgd", "PD1", ("Deep Learning with Differential Privacy", "10.1145/2976749.2978318")),
    ("adversarial-debiasing", "FD1", ("Domain-Adversarial Training of Neural Networks", "1505.07818")),
    ("outlier-removal", "RD2", ("Task-Specific Data Valuation for Nearest Neighbor", "1908.08619")),
    ("watermarking", "RD3", ("Turning Your Weakness Into a Strength", "1802.04633")),
    ("fingerprinting", "RD4", ("Dataset Inference", "2104.10706")),
    ("explanations", "FD2", ("A hostile reference", f"javascript:alert(1) {HOSTILE}")),
)


class Risk(NamedTuple):
    """A risk of the example: its primary value without defenses, its spread, and what three defenses add to it."""

    id: str
    sok: str
    metric: str
    value: str
    label: str
    better: str
    margin: float
    base: float
    spread: float
    shifts: tuple[float, ...]


def _risk(line: str) -> Risk:
    texts = [text.strip() for text in line.split("|")]
    return Risk(*texts[:6], *map(float, texts[6:9]), shifts=tuple(map(float, texts[9].split())))


RISKS = tuple(
    _risk(line)
    for line in """
    evasion                      | R1 | robustness     | robust_accuracy | robust accuracy | higher | .05 | .41 | .02  | .24 .03 0
    membership-inference         | P1 | membership     | auc             | AUC             | lower  | .03 | .57 | .008 | .04 -.06 .012
    discriminatory-behavior      | F  | group-fairness | parity          | parity gap      | lower  | .05 | .18 | .015 | 0 .02 -.12
    utility                      | -  | accuracy       | accuracy        | accuracy        | higher | .03 | .84 | .006 | -.05 -.03 -.004
    attribute-inference          | P3 | attributes     | advantage       | advantage       | lower  | .03 | .10 | .02  | .01 -.02 -.05
    distribution-inference       | P4 | distinguishing | accuracy        | accuracy        | lower  | .05 | .70 | .05  | .02 -.1 .1
    data-reconstruction          | P2 | reconstruction | mse             | squared error   | higher | .02 | .30 | .02  | -.06 .1 0
    poisoning                    | R2 | backdoor       | success         | success rate    | lower  | .05 | .80 | .03  | 0 .1 0
    unauthorized-model-ownership | R3 | extraction     | fidelity        | fidelity        | lower  | .05 | .90 | .01  | -.1 0 0
    """.strip().splitlines()
)
ATTACKS = {
    "evasion": ("builtin/pgd", "worst case"),
    "membership-inference": ("builtin/lira", "builtin/rmia", "worst case"),
    "discriminatory-behavior": ("",),
    "utility": ("",),
}
THREATS = {
    "evasion": {"epsilon": 0.05, "norm": "linf"},
    "membership-inference": {"shadow": "adaptive", "population": 1000},
    "discriminatory-behavior": {"attribute": "sex"},
}
CONTROLS = {"evasion": "builtin/random-noise", "membership-inference": "builtin/random-score"}


def example_results(
    *,
    risks: int = 4,
    defenses: int = 3,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    complete: bool = True,
    hostile: bool = True,
) -> Results:
    """Return results of the rows none, placebo, some defenses and a chain, over the first ``risks`` risks."""
    draw = np.random.default_rng(20240523)
    rows = _rows(defenses, hostile=hostile)
    columns = tuple(_column(risk) for risk in RISKS[:risks])
    values = {(row.label, risk.id): _values(row, risk, seeds, draw) for row in rows for risk in RISKS[:risks]}
    near = {row.label: "balanced accuracy .51, near chance" for row in rows if len(row.chain) > 1}
    entries = tuple(
        entry for risk in RISKS[:risks] for entry in _entries(rows, risk, values, near if risk.id == "evasion" else {})
    )
    cells = tuple(
        cell for row in rows for risk in RISKS[:risks] for cell in _cells(row, risk, values[row.label, risk.id], draw)
    )
    return Results(
        name=f"Adult, quick look {HOSTILE}" if hostile else "Adult, quick look",
        config={"dataset": {"name": "builtin/adult", "params": {"sensitive_in_x": False}}, "seeds": list(seeds)},
        data={
            "id": "builtin/adult",
            "licence": "CC BY 4.0",
            "classes": ["<=50K", ">50K"],
            "rows": 2000,
            "sha256": "5f" * 32,
            "class_rows": {"<=50K": 1500, ">50K": 500},
            "groups": {"sex": {"Male": {"<=50K": 900, ">50K": 420}, "Female": {"<=50K": 600, ">50K": 80}}},
            "sizes": {"train": 1000, "test": 1000, "design": "crossed"},
        },
        seeds=tuple(seeds),
        design="crossed",
        overlap=0.25,
        rows=rows,
        columns=columns,
        cells=cells,
        entries=entries,
        conflicts=conflicts(rows, columns, entries, overlap=0.0, members_alone=True),
        provenance=_provenance(rows, complete=complete),
    )


VERIFICATION = "ownership-verification"
FLOOR = 0.05
PLANTED = {
    ("evasion", "none"): 0.4,
    ("evasion", "watermark"): 0.4,
    ("evasion", "adversarial-training"): 0.7,
    ("evasion", "dp-sgd"): 0.45,
    ("evasion", "watermark + dp-sgd"): 0.45,
    ("evasion", "watermark + adversarial-training"): 0.6,
    (VERIFICATION, "watermark"): 0.97,
    (VERIFICATION, "watermark + dp-sgd"): 0.3,
    (VERIFICATION, "watermark + adversarial-training"): 0.97,
    ("utility", "none"): 0.8,
    ("utility", "watermark"): 0.8,
    ("utility", "adversarial-training"): 0.75,
    ("utility", "dp-sgd"): 0.7,
    ("utility", "watermark + dp-sgd"): 0.7,
    ("utility", "watermark + adversarial-training"): 0.75,
}
"""The primary values of ``chain_results``: where one is not given the row has no value, and its cells are skipped."""


def chain_results() -> Results:
    """Return planted results of two chains: the watermark is lost under dp-sgd, and kept beside adversarial training.

    Adversarial training loses a third of its robust accuracy to the watermark. Ownership verification has no value
    without the watermark: its column has a floor.
    """
    chains = [["watermark"], ["dp-sgd"], ["watermark", "dp-sgd"], ["adversarial-training"]]
    chains.append(["watermark", "adversarial-training"])
    named = [Row(label=" + ".join(names), kind="defense", chain=tuple(map(member, names))) for names in chains]
    rows = (Row(label="none", kind="none"), *named)
    verification = Risk(VERIFICATION, "R3", "verification", "tpr", "TPR", "higher", 0.1, 0, 0, (0,))
    risks = [RISKS[0], verification, RISKS[3]]
    columns = [_column(risk) for risk in risks]
    columns[1] = columns[1].model_copy(update={"floor": FLOOR, "title": "Ownership verification"})
    jitter = np.random.default_rng(7).normal(size=(len(rows), 5)) * 0.004
    values = {
        (row.label, risk.id): {seed: PLANTED[risk.id, row.label] + float(jitter[place, seed]) for seed in range(5)}
        if (risk.id, row.label) in PLANTED
        else {}
        for place, row in enumerate(rows)
        for risk in risks
    }
    entries = [entry for risk in risks if risk != verification for entry in _entries(rows, risk, values, {})]
    entries[len(rows) : len(rows)] = [_verified(row.label, values[row.label, VERIFICATION]) for row in rows]
    return Results(
        name="Two chains",
        config={},
        data={"id": "builtin/digits"},
        seeds=tuple(range(5)),
        design="disjoint",
        rows=rows,
        columns=tuple(columns),
        cells=(),
        entries=tuple(entries),
        conflicts=conflicts(rows, columns, entries, overlap=0.0, members_alone=True),
        provenance=_provenance(rows, complete=True),
    )


def _verified(row: str, values: dict[int, float]) -> Entry:
    if not values:
        reason = "skipped: no defense of this row can be verified"
        return Entry(row=row, risk=VERIFICATION, missing=reason, inapplicable=True)
    found = paired_interval([*values.values()])
    about = {"values": tuple(values.items()), "mean": found.estimate, "low": found.low, "high": found.high}
    return Entry(row=row, risk=VERIFICATION, **about, missing=NO_CHANGE)


def member(name: str, reference: tuple[str, str] | None = None) -> Member:
    """Return a component as used."""
    return Member(
        id=name if "/" in name else f"builtin/{name}",
        version="1",
        distribution="amulet-framework 0.1.0",
        params={"steps": 7, "epsilon": 0.05, "layers": [128, 256, 128]},
        summary=f"The component {name} of the example.",
        references=(reference,) if reference else (),
    )


def _rows(defenses: int, *, hostile: bool) -> tuple[Row, ...]:
    named = [Row(label=name, kind="defense", chain=(member(name, where),)) for name, _, where in DEFENSES[:defenses]]
    named += [_variant(place) for place in range(len(DEFENSES), defenses)]
    chain = Row(
        label=f"dp-sgd + adversarial-training {HOSTILE}" if hostile else "dp-sgd + adversarial-training",
        kind="defense",
        chain=(member("dp-sgd"), member("adversarial-training")),
    )
    return (Row(label="none", kind="none"), Row(label="placebo", kind="placebo"), *named, chain)


def _variant(place: int) -> Row:
    """Return one of many further rows: a named defense with another setting, as a sweep has them."""
    name, _, where = DEFENSES[place % len(DEFENSES)]
    used = member(name, where)
    changed = used.model_copy(update={"params": {**used.params, "steps": place}})
    return Row(label=f"{name}, steps {place}", kind="defense", chain=(changed,))


def _column(risk: Risk) -> Column:
    attacks = [attack for attack in ATTACKS.get(risk.id, ("builtin/some-attack",)) if "/" in attack]
    controls = (CONTROLS[risk.id],) if risk.id in CONTROLS else ()
    return Column(
        risk=risk.id,
        title=risk.id.replace("-", " ").capitalize(),
        threat=THREATS.get(risk.id, {}),
        attacks=tuple(member(attack) for attack in (*attacks, *controls)),
        controls=controls,
        metrics=(member(risk.metric),),
        primary_metric=f"builtin/{risk.metric}",
        primary_value=risk.value,
        primary_label=risk.label,
        better=risk.better,
        margin=risk.margin,
    )


def _values(row: Row, risk: Risk, seeds: Sequence[int], draw: np.random.Generator) -> dict[int, float]:
    """Return the primary value by seed; one square is a gap, as real runs have them."""
    if len(row.chain) > 1 and risk.id == "membership-inference":
        return {}
    places = {f"builtin/{name}": index for index, (name, _, _) in enumerate(DEFENSES)}
    place = places[row.chain[0].id] if len(row.chain) == 1 else None
    shift = risk.shifts[place % 3] if place is not None else (sum(risk.shifts) / 2 if row.chain else 0.0)
    common = np.random.default_rng(len(risk.id)).normal(size=len(seeds)) * risk.spread * 2
    own = draw.normal(size=len(seeds)) * risk.spread
    return {
        seed: float(np.clip(risk.base + shift + a + b, 0, 1)) for seed, a, b in zip(seeds, common, own, strict=True)
    }


def _entries(
    rows: Sequence[Row], risk: Risk, values: dict[tuple[str, str], dict[int, float]], near: dict[str, str]
) -> list[Entry]:
    base = values["none", risk.id]
    compared = [row for row in rows if row.kind != "none" and values[row.label, risk.id]]
    column = [
        Differences(
            row.label,
            tuple(values[row.label, risk.id][seed] - base[seed] for seed in base),
            near.get(row.label, ""),
        )
        for row in compared
    ]
    found = map(_effect, column, verdicts(column, margin=risk.margin, better=risk.better))
    effects = dict(zip([row.label for row in compared], found, strict=True))
    return [
        _entry(row, risk, values[row.label, risk.id], effects.get(row.label), near.get(row.label, "")) for row in rows
    ]


def _entry(row: Row, risk: Risk, values: dict[int, float], effect: Effect | None, degenerate: str) -> Entry:
    ids = {f"builtin/{name}": sok for name, sok, _ in DEFENSES}
    published = [expected(ids.get(used.id), risk.sok) for used in row.chain]
    masked = row.label == "dp-sgd" and risk.id == "evasion"
    return Entry(
        row=row.label,
        risk=risk.id,
        values=tuple(values.items()),
        mean=float(np.mean([*values.values()])) if values else None,
        effect=effect,
        degenerate=degenerate,
        expected=tuple(each for each in published if each is not None),
        missing="" if values else f"all seeds failed: {REASON} {HOSTILE}",
        warnings=("the input gradient was zero for 37 of 1000 rows",) if masked else (),
    )


def _effect(differences: Differences, finding: Finding | EstimateOnly | NoEstimate) -> Effect:
    fields = {
        "difference": float(np.mean(differences.values)),
        "seeds": len(differences.values),
        "verdict": finding.verdict,
    }
    if not isinstance(finding, Finding):
        fields["verdict_reason"] = finding.reason
    if not isinstance(finding, NoEstimate):
        fields |= {"low": finding.interval.low, "high": finding.interval.high, "level": finding.interval.level}
    if isinstance(finding, Finding):
        fields |= {"p": finding.p, "p_adjusted": finding.p_adjusted, "p_equivalence": finding.p_equivalence}
    return Effect(**fields)


def _cells(row: Row, risk: Risk, values: dict[int, float], draw: np.random.Generator) -> list[Cell]:
    attacks = [*ATTACKS.get(risk.id, ("builtin/some-attack",)), *([CONTROLS[risk.id]] if risk.id in CONTROLS else [])]
    if not values:
        about = {"row": row.label, "risk": risk.id, "status": "failed", "reason": f"{REASON} {HOSTILE}", **BLAMED}
        return [Cell(**about, attack=attack, seed=seed) for attack in attacks for seed in range(5)]
    cells = [
        Cell(
            row=row.label,
            risk=risk.id,
            attack=attack,
            control=attack in CONTROLS.values(),
            seed=seed,
            status="ok",
            adversary="" if risk.id not in CONTROLS else "none" if attack in CONTROLS.values() else "adaptive",
            measured=(Measured(metric=f"builtin/{risk.metric}", scores=_scores(risk, attack, value, draw)),),
            warnings=("the candidates are few",) if seed == 0 and risk.id == "membership-inference" else (),
        )
        for attack in attacks
        for seed, value in values.items()
    ]
    if row.kind != "defense" or risk.id != "evasion":
        return cells
    about = {"row": row.label, "risk": risk.id, "attack": "builtin/square", "status": "skipped", "reason": SKIPPED}
    return [*cells, *(Cell(**about, seed=seed) for seed in values)]


def _scores(risk: Risk, attack: str, primary: float, draw: np.random.Generator) -> Scores:
    floor = 0.79 if risk.id == "evasion" else 0.5
    estimate = floor if attack in CONTROLS.values() else primary
    null = "mean .05, 95 % quantile .10" if risk.id == "discriminatory-behavior" else ""
    main = _value(risk.value, estimate).model_copy(update={"null": null})
    others, details = _more(risk, estimate, draw)
    return Scores(values=(main, *others), details=details)


def _more(risk: Risk, value: float, draw: np.random.Generator) -> tuple[tuple[Value | Withheld, ...], dict[str, Any]]:
    """Return a metric's further values, and its details in the shapes of the built-in metrics."""
    if risk.id == "evasion":
        budgets = (0.0, 0.01, 0.02, 0.05, 0.1)
        rates = [max(0.0, 0.83 - (0.83 - value) * budget / 0.05) for budget in budgets]
        curve = [
            {"epsilon": budget, "accuracy": rate, **_bounds(rate)} for budget, rate in zip(budgets, rates, strict=True)
        ]
        return (_value("success_rate", 0.3),), {"accuracy_by_epsilon": curve}
    if risk.id == "membership-inference":
        scores = np.concatenate([draw.normal((value - 0.5) * 3.6, 1, size=500), draw.normal(0, 1, size=500)])
        fpr, tpr, _ = roc(scores, np.repeat([True, False], 500))
        points = [{"fpr": float(a), "tpr": float(b)} for a, b in zip(fpr, tpr, strict=True)][::5]
        few = Withheld(name="tpr_at_0_1_percent_fpr", reason="0.5 false positives are expected, fewer than 10")
        return (_value("tpr_at_1_percent_fpr", 0.02), few), {"roc": points}
    if risk.id == "discriminatory-behavior":
        rates = (("Male", 0.3, 670), ("Female", max(0.0, 0.3 - value), 330), (HOSTILE, 0.2, 31))
        groups = [{"group": name, "n": n, "selection_rate": rate, **_bounds(rate)} for name, rate, n in rates]
        return (), {"attribute": "sex", "positive": ">50K", "groups": groups}
    if risk.id == "utility":
        return (), {"per_class": [{"class": "<=50K", "accuracy": 0.9}, {"class": ">50K", "accuracy": 0.6}]}
    return (), {}


def _bounds(rate: float) -> dict[str, float]:
    return {"low": max(0.0, rate - 0.04), "high": min(1.0, rate + 0.04)}


def _value(name: str, estimate: float) -> Value:
    method = "stratified bootstrap, 95 %"
    return Value(name=name, estimate=estimate, low=estimate - 0.02, high=estimate + 0.02, method=method, n=1000)


def _provenance(rows: Sequence[Row], *, complete: bool) -> Provenance:
    spent = {"privacy": {"epsilon_prv": 7.61, "epsilon_rdp": 8.0, "delta": 1e-5, "steps": 640}}
    return Provenance(
        started="2026-01-05T10:00:00+00:00",
        finished="2026-01-05T10:03:12+00:00",
        seconds=192.4,
        complete=complete,
        platform="Linux-6.1-x86_64",
        python="3.11.2",
        cpu="AMD EPYC",
        cores=2,
        peak_memory_mb=1240.0,
        threads_per_job=1,
        libraries={"torch": "2.6.0", "numpy": "2.2.0"},
        plugins={"amulet-framework": "0.1.0"},
        components=(member("adult", ("UCI Adult", "https://archive.ics.uci.edu/dataset/2/adult")), member("mlp")),
        timings={f"fit {row.label} seed {seed}": 1.5 + seed for row in rows for seed in range(5)},
        evidence={row.label: spent for row in rows if row.label == "dp-sgd"},
        warnings=("the machine has 2 cores, so 2 jobs run at once",),
    )
