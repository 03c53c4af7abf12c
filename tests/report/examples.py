"""A full and plausible example of results, of any size: gaps, failures, withheld values and hostile texts included."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from amulet_core.published.tables import expected
from amulet_core.results import Cell, Column, Effect, Entry, Measured, Member, Provenance, Results, Row
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.membership import roc
from amulet_core.statistics.verdicts import Differences, EstimateOnly, Finding, verdicts

HOSTILE = "<script>alert(1)</script>"
REASON = "the gradient rule's noise <b>overflowed</b> & stopped"
DEFENSES = (
    ("adversarial-training", "RD1", ("Towards Deep Learning Models Resistant to Adversarial Attacks", "arXiv:1706.06083")),
    ("dp-sgd", "PD1", ("Deep Learning with Differential Privacy", "10.1145/2976749.2978318")),
    ("adversarial-debiasing", "FD1", ("Domain-Adversarial Training of Neural Networks", "1505.07818")),
    ("outlier-removal", "RD2", ("Efficient Task-Specific Data Valuation for Nearest Neighbor", "1908.08619")),
    ("watermarking", "RD3", ("Turning Your Weakness Into a Strength", "1802.04633")),
    ("fingerprinting", "RD4", ("Dataset Inference", "2104.10706")),
    ("explanations", "FD2", ("A hostile reference", f"javascript:alert(1) {HOSTILE}")),
)
# risk, SoK id, title, primary metric and value, label, better, margin, base value, spread, effect by defense
RISKS: tuple[tuple[Any, ...], ...] = (
    ("evasion", "R1", "Evasion", "robustness", "robust_accuracy", "robust accuracy", "higher", 0.05, 0.41, 0.02, (0.24, 0.03, 0.0)),
    ("membership-inference", "P1", "Membership inference", "membership", "auc", "AUC", "lower", 0.03, 0.57, 0.008, (0.04, -0.06, 0.012)),
    ("discriminatory-behavior", "F", "Discriminatory behavior", "group-fairness", "demographic_parity_difference",
     "demographic parity difference", "lower", 0.05, 0.18, 0.015, (0.0, 0.02, -0.12)),
    ("utility", None, "Utility", "accuracy", "accuracy", "accuracy", "higher", 0.03, 0.84, 0.006, (-0.05, -0.03, -0.004)),
    ("attribute-inference", "P3", "Attribute inference", "attributes", "advantage", "advantage", "lower", 0.03, 0.1, 0.02, (0.01, -0.02, -0.05)),
    ("distribution-inference", "P4", "Distribution inference", "distinguishing", "accuracy", "accuracy", "lower", 0.05, 0.7, 0.05, (0.02, -0.1, 0.1)),
    ("data-reconstruction", "P2", "Data reconstruction", "reconstruction", "mse", "mean squared error", "higher", 0.02, 0.3, 0.02, (-0.06, 0.1, 0.0)),
    ("poisoning", "R2", "Poisoning", "backdoor", "success", "success rate", "lower", 0.05, 0.8, 0.03, (0.0, 0.1, 0.0)),
    ("unauthorized-model-ownership", "R3", "Unauthorized model ownership", "extraction", "fidelity", "fidelity", "lower", 0.05, 0.9, 0.01, (-0.1, 0.0, 0.0)),
)  # fmt: skip
ATTACKS = {
    "evasion": ("builtin/pgd", "worst case"),
    "membership-inference": ("builtin/lira", "builtin/rmia", "worst case"),
    "discriminatory-behavior": ("",),
    "utility": ("",),
}
CONTROLS = {"evasion": "builtin/random-noise", "membership-inference": "builtin/random-score"}


def example_results(
    *, risks: int = 4, defenses: int = 3, seeds: Sequence[int] = (0, 1, 2, 3, 4), complete: bool = True, hostile: bool = True
) -> Results:
    """Return results of the rows none, placebo, some defenses and a chain, over the first ``risks`` risks."""
    draw = np.random.default_rng(20240523)
    rows = _rows(defenses, hostile=hostile)
    columns = tuple(_column(*risk[:8]) for risk in RISKS[:risks])
    values = {(row.label, risk[0]): _values(row, risk, seeds, draw) for row in rows for risk in RISKS[:risks]}
    entries = tuple(entry for risk in RISKS[:risks] for entry in _entries(rows, risk, values))
    cells = tuple(
        cell for row in rows for risk in RISKS[:risks] for cell in _cells(row, risk, values[row.label, risk[0]], draw)
    )
    return Results(
        name=f"Adult, quick look {HOSTILE}" if hostile else "Adult, quick look",
        config={"dataset": {"name": "builtin/adult", "params": {"sensitive_in_x": False}}, "seeds": list(seeds)},
        data={"id": "builtin/adult", "licence": "CC BY 4.0", "classes": ["<=50K", ">50K"], "rows": {"train": 1000, "test": 1000}},
        seeds=tuple(seeds),
        design="One pool of rows; each seed draws a balanced half of it for training, and scores the same candidates.",
        overlap=0.25,
        rows=rows,
        columns=columns,
        cells=cells,
        entries=entries,
        provenance=_provenance(rows, complete=complete),
    )


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
    chain = Row(
        label=f"dp-sgd + adversarial-training {HOSTILE}" if hostile else "dp-sgd + adversarial-training",
        kind="defense",
        chain=(member("dp-sgd"), member("adversarial-training")),
    )
    return (Row(label="none", kind="none"), Row(label="placebo", kind="placebo"), *named, chain)


def _column(
    risk: str, _: str | None, title: str, metric: str, value: str, label: str, better: Any, margin: float
) -> Column:
    attacks = [attack for attack in ATTACKS.get(risk, ("builtin/some-attack",)) if "/" in attack]
    controls = (CONTROLS[risk],) if risk in CONTROLS else ()
    return Column(
        risk=risk,
        title=title,
        threat={"epsilon": 0.05, "norm": "linf"} if risk == "evasion" else {},
        attacks=tuple(member(attack) for attack in (*attacks, *controls)),
        controls=controls,
        metrics=(member(metric),),
        primary_metric=f"builtin/{metric}",
        primary_value=value,
        primary_label=label,
        better=better,
        margin=margin,
    )


def _values(row: Row, risk: tuple[Any, ...], seeds: Sequence[int], draw: np.random.Generator) -> dict[int, float]:
    """Return the primary value by seed; two squares are gaps, as real runs have them."""
    if len(row.chain) > 1 and risk[0] == "membership-inference":
        return {}
    base, spread, shifts = risk[8:]
    place = [name for name, _, _ in DEFENSES].index(row.label) if row.kind == "defense" and len(row.chain) == 1 else None
    shift = shifts[place % 3] if place is not None else (sum(shifts) / 2 if row.chain else 0.0)
    noise = np.random.default_rng(len(risk[0])).normal(size=len(seeds)) * spread * 2
    own = draw.normal(size=len(seeds)) * spread
    return {seed: float(np.clip(base + shift + a + b, 0, 1)) for seed, a, b in zip(seeds, noise, own, strict=True)}


def _entries(rows: Sequence[Row], risk: tuple[Any, ...], values: dict[tuple[str, str], dict[int, float]]) -> list[Entry]:
    name, sok, better, margin = risk[0], risk[1], risk[6], risk[7]
    base = values["none", name]
    compared = [row for row in rows if row.kind != "none" and values[row.label, name]]
    column = [
        Differences(
            row.label,
            tuple(values[row.label, name][seed] - base[seed] for seed in base),
            "balanced accuracy .51, near chance" if row.label.startswith("dp-sgd +") and name == "evasion" else "",
        )
        for row in compared
    ]
    effects = dict(
        zip([row.label for row in compared], map(_effect, column, verdicts(column, margin=margin, better=better)), strict=True)
    )
    ids = {defense: defense_sok for defense, defense_sok, _ in DEFENSES}
    return [
        Entry(
            row=row.label,
            risk=name,
            values=tuple(values[row.label, name].items()),
            mean=float(np.mean([*values[row.label, name].values()])) if values[row.label, name] else None,
            effect=effects.get(row.label),
            expected=tuple(
                found for used in row.chain if (found := expected(ids.get(used.id.removeprefix("builtin/")), sok)) is not None
            ),
            missing="" if values[row.label, name] else f"all seeds failed: {REASON} {HOSTILE}",
            warnings=("the input gradient was zero for 37 of 1000 rows",) if row.label == "dp-sgd" and name == "evasion" else (),
        )
        for row in rows
    ]


def _effect(differences: Differences, finding: object) -> Effect:
    mean, seeds = float(np.mean(differences.values)), len(differences.values)
    if isinstance(finding, Finding):
        return Effect(
            difference=mean,
            low=finding.interval.low,
            high=finding.interval.high,
            level=finding.interval.level,
            p=finding.p,
            p_adjusted=finding.p_adjusted,
            p_equivalence=finding.p_equivalence,
            seeds=seeds,
            verdict=finding.verdict,
        )
    bounds = (finding.interval.low, finding.interval.high) if isinstance(finding, EstimateOnly) else (None, None)
    return Effect(
        difference=mean, low=bounds[0], high=bounds[1], seeds=seeds, verdict=finding.verdict, verdict_reason=finding.reason
    )


def _cells(row: Row, risk: tuple[Any, ...], values: dict[int, float], draw: np.random.Generator) -> list[Cell]:
    name = risk[0]
    attacks = [*ATTACKS.get(name, ("builtin/some-attack",)), *([CONTROLS[name]] if name in CONTROLS else [])]
    adversary = "adaptive" if name in CONTROLS else ""
    if not values:
        failed = dict(status="failed", reason=f"{REASON} {HOSTILE}", blame="builtin/dp-sgd", traceback=f"Traceback\n  {HOSTILE}")
        return [Cell(row=row.label, risk=name, attack=attack, seed=seed, **failed) for attack in attacks for seed in range(5)]
    cells = [
        Cell(
            row=row.label,
            risk=name,
            attack=attack,
            control=attack in CONTROLS.values(),
            seed=seed,
            status="ok",
            adversary="none: it knows nothing" if attack in CONTROLS.values() else adversary,
            measured=(Measured(metric=f"builtin/{risk[3]}", scores=_scores(risk, attack, value, draw)),),
            warnings=("the candidates are few",) if seed == 0 and name == "membership-inference" else (),
        )
        for attack in attacks
        for seed, value in values.items()
    ]
    if row.kind == "defense" and name == "evasion":
        reason = "builtin/square needs probabilities, and this model gives labels only"
        cells += [Cell(row=row.label, risk=name, attack="builtin/square", seed=s, status="skipped", reason=reason) for s in values]
    return cells


def _scores(risk: tuple[Any, ...], attack: str, value: float, draw: np.random.Generator) -> Scores:
    name, primary = risk[0], risk[4]
    control = attack in CONTROLS.values()
    value = {"evasion": 0.79, "membership-inference": 0.5}.get(name, value) if control else value
    main = Value(name=primary, estimate=value, low=value - 0.02, high=value + 0.02, method="Wilson, 95 %", n=1000)
    if name == "evasion":
        steps = [{"epsilon": e, "accuracy": max(0.0, 0.83 - (0.83 - value) * e / 0.05)} for e in (0.0, 0.01, 0.02, 0.05, 0.1)]
        curve = [{**step, "low": max(0, step["accuracy"] - 0.03), "high": min(1, step["accuracy"] + 0.03)} for step in steps]
        return Scores(values=(main, _value("success_rate", 0.3, draw)), details={"accuracy_by_epsilon": curve})
    if name == "membership-inference":
        scores = np.concatenate([draw.normal((value - 0.5) * 3.6, 1, size=500), draw.normal(0, 1, size=500)])
        fpr, tpr, _ = roc(scores, np.repeat([True, False], 500))
        points = [{"fpr": float(a), "tpr": float(b)} for a, b in zip(fpr, tpr, strict=True)][:: 5]
        withheld = Withheld(name="tpr_at_0_1_percent_fpr", reason="0.5 false positives are expected, fewer than 10")
        return Scores(values=(main, _value("tpr_at_1_percent_fpr", 0.02, draw), withheld), details={"roc": points})
    if name == "discriminatory-behavior":
        rates = (("Male", 0.3, 670), ("Female", 0.3 - value, 330), (HOSTILE, 0.2, 31))
        groups = [
            {"group": g, "n": n, "selection_rate": max(0, r), "low": max(0, r - 0.05), "high": r + 0.05, "tpr": 0.6, "fpr": 0.1}
            for g, r, n in rates
        ]
        null = "mean .05, 95 % quantile .10"
        return Scores(values=(main.model_copy(update={"null": null}),), details={"attribute": "sex", "groups": groups})
    if name == "utility":
        return Scores(values=(main,), details={"per_class": [{"class": "<=50K", "accuracy": 0.9}, {"class": ">50K", "accuracy": 0.6}]})
    return Scores(values=(main,))


def _value(name: str, around: float, draw: np.random.Generator) -> Value:
    estimate = around + float(draw.uniform(0, 0.01))
    return Value(name=name, estimate=estimate, low=estimate / 2, high=estimate * 2, method="stratified bootstrap, 95 %", n=500)


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
