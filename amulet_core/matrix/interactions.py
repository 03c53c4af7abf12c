"""From cells to the entries of the matrix: primary values by seed, paired differences, verdicts, what was published."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from amulet_core.configuration.request import Request, RiskPlan, RowPlan, defense_of
from amulet_core.games.table import Primary
from amulet_core.matrix.chance import Chance, degenerate_by, of_game, of_utility
from amulet_core.matrix.primary import compared, met, met_alone, of_cell, primary_values
from amulet_core.published.tables import expected
from amulet_core.results import NONE, Cell, Effect, Entry, Expected, values_of
from amulet_core.scores import Value, Withheld
from amulet_core.statistics.interval import Interval
from amulet_core.statistics.paired import paired_interval
from amulet_core.statistics.proportions import clopper_pearson
from amulet_core.statistics.verdicts import Differences, EstimateOnly, Finding, NoEstimate, verdicts
from amulet_core.vocabulary import UTILITY, Better

NO_CHANGE = "no value without the defense: the value itself is shown, and no verdict of a change"
"""Why an entry of a column with a floor has no effect."""

Cells = Mapping[tuple[str, str], Sequence[Cell]]


def entries(request: Request, cells: Iterable[Cell], *, overlap: float, classes: int) -> tuple[Entry, ...]:
    """Return the entries of the matrix, risk by risk, in the rows' order.

    ``overlap`` is Nadeau and Bengio's correction term; ``classes`` the number of classes (for chance).
    """
    by_entry: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        by_entry.setdefault((cell.row, cell.risk), []).append(cell)
    utility = {row.label: of_utility(by_entry.get((row.label, UTILITY), ()), classes) for row in request.rows}
    found: list[Entry] = []
    for risk in request.risks:
        own = {label: of_game(by_entry.get((label, risk.game.risk), ()), risk.game, classes) for label in utility}
        chance = {label: utility[label] if one is None else one for label, one in own.items()}
        found += _column(request, risk, by_entry, chance, overlap)
    return tuple(found)


def _column(
    request: Request, risk: RiskPlan, by_entry: Cells, chance: Mapping[str, Chance], overlap: float
) -> list[Entry]:
    own_cells = {row.label: by_entry.get((row.label, risk.game.risk), ()) for row in request.rows}
    if risk.game.primary.bound or risk.game.primary.floor is not None:
        return [_alone(row, risk, own_cells, chance, overlap) for row in request.rows]
    counted = compared(own_cells, risk)
    found = {label: primary_values(cells, risk, counted) for label, cells in own_cells.items()}
    values = {label: _estimates(by_seed) for label, by_seed in found.items()}
    baseline = values[NONE]
    pairs = {
        label: {seed: value - baseline[seed] for seed, value in by_seed.items() if seed in baseline}
        for label, by_seed in values.items()
        if label != NONE
    }
    degenerate = {label: degenerate_by(chance, label) if risk.game.risk != UTILITY else "" for label in values}
    column = [
        Differences(label, tuple(by_seed.values()), degenerate[label]) for label, by_seed in pairs.items() if by_seed
    ]
    primary = risk.game.primary
    findings = {
        finding.defense: finding
        for finding in verdicts(column, margin=primary.margin, better=primary.better, overlap=overlap)
    }
    means = {one.defense: sum(one.values) / len(one.values) for one in column}
    warnings = {
        label: _warnings(cells, risk, counted, "" if degenerate[label] else chance[label].some)
        for label, cells in own_cells.items()
    }
    result = []
    for row in request.rows:
        cells = own_cells[row.label]
        finding = findings.get(row.label)
        against = _against(finding, warnings[row.label], warnings[NONE]) if finding else ""
        effect = _effect(finding, means[row.label], len(pairs[row.label]), against) if finding else None
        own = values[row.label]
        result.append(
            Entry(
                row=row.label,
                risk=risk.game.risk,
                values=tuple(own.items()),
                n=_fewest(found[row.label]),
                mean=sum(own.values()) / len(own) if own else None,
                effect=effect,
                expected=_expected(row, risk),
                degenerate=degenerate[row.label],
                warnings=warnings[row.label],
                missing=_missing(row, risk, own, effect, cells),
            )
        )
    return result


def _alone(
    row: RowPlan, risk: RiskPlan, cells: Mapping[str, Sequence[Cell]], chance: Mapping[str, Chance], overlap: float
) -> Entry:
    """Return an entry of a column in which the undefended row has no value: the value itself, and no change of it."""
    counted = {attack for own in cells.values() for attack in met(own, risk)}
    own, found = cells[row.label], primary_values(cells[row.label], risk, counted)
    values = _estimates(found)
    interval = _interval([*found.values()], risk.game.primary, overlap)
    degenerate = chance[row.label].most
    skipped = bool(own) and all(cell.status == "skipped" or cell.control for cell in own)
    return Entry(
        row=row.label,
        risk=risk.game.risk,
        values=tuple(values.items()),
        n=_fewest(found),
        mean=sum(values.values()) / len(values) if values else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        expected=_expected(row, risk),
        degenerate=degenerate,
        warnings=_warnings(own, risk, counted, "" if degenerate else chance[row.label].some),
        missing=NO_CHANGE if values else _missing(row, risk, values, None, own),
        inapplicable=skipped,
    )


def _estimates(found: Mapping[int, Value]) -> dict[int, float]:
    return {seed: value.estimate for seed, value in found.items()}


def _fewest(found: Mapping[int, Value]) -> int | None:
    return min((value.n for value in found.values()), default=None)


def _interval(values: Sequence[Value], primary: Primary, overlap: float) -> Interval | None:
    """Return the interval of the mean of one row's values; none where there is none to give.

    A mean of bounds has none: it would read as the interval of what they bound. That of shares is cut to what there can
    be, and holds at least what their counts taken together leave open: shares of a few trials may be alike on all seeds
    though the rate behind them is another.
    """
    if len(values) < 2 or primary.bound:
        return None
    interval = paired_interval([value.estimate for value in values], overlap=overlap)
    if not primary.share or not all(value.n for value in values):
        return interval
    counted = [round(value.estimate * value.n) for value in values]
    pooled = clopper_pearson(sum(counted), sum(value.n for value in values), level=interval.level)
    return replace(interval, low=min(interval.low, pooled.low), high=max(interval.high, pooled.high)).within(0.0, 1.0)


def _against(finding: Finding | EstimateOnly | NoEstimate, own: Sequence[str], none: Sequence[str]) -> str:
    """Say which warning of a row, or of ``none``, stands against what was found of the row; empty if none does.

    What is warned of may be worse than it looks, never better: the row's risk larger, or that of ``none``.
    """
    if own and finding.verdict in ("risk down", "no change"):
        return f"a warning stands against it: {own[0]}"
    if none and finding.verdict in ("risk up", "no change"):
        return f'a warning stands against the row "none", which it is compared with: {none[0]}'
    return ""


def _effect(finding: Finding | EstimateOnly | NoEstimate, mean: float, seeds: int, against: str) -> Effect:
    match finding:
        case NoEstimate():
            return Effect(difference=mean, seeds=seeds, verdict=finding.verdict, verdict_reason=finding.reason)
        case EstimateOnly():
            return Effect(
                difference=mean,
                seeds=seeds,
                verdict=finding.verdict,
                verdict_reason=finding.reason,
                **_limits(finding.interval),
            )
    return Effect(
        difference=mean,
        seeds=seeds,
        verdict="blocked" if against else finding.verdict,
        verdict_reason=against,
        p=finding.p,
        p_adjusted=finding.p_adjusted,
        p_equivalence=finding.p_equivalence,
        **_limits(finding.interval),
    )


def _limits(interval: Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high, "level": interval.level}


def _warnings(cells: Sequence[Cell], risk: RiskPlan, counted: Collection[str], near_chance: str) -> tuple[str, ...]:
    texts = dict.fromkeys(text for cell in cells for text in cell.warnings)
    few = (near_chance,) if near_chance and risk.game.risk != UTILITY else ()
    return (*texts, *_control_wins(cells, risk, counted), *_left_out(cells, risk, counted), *few)


def _left_out(cells: Sequence[Cell], risk: RiskPlan, counted: Collection[str]) -> tuple[str, ...]:
    """Warn of attacks that the row alone met: they may do more harm than those of the change."""
    names = met_alone(cells, counted, risk)
    return (f'the change leaves out what has no value in the row "none": {", ".join(names)}',) if names else ()


def _control_wins(cells: Sequence[Cell], risk: RiskPlan, counted: Collection[str]) -> tuple[str, ...]:
    """Warn where an attack that knows nothing does better than the attacks: gradients are masked, or they fail."""
    control = {
        cell.seed: value.estimate for cell in cells if cell.control and (value := of_cell(cell, risk)) is not None
    }
    attacked = _estimates(primary_values(cells, risk, counted))
    both = [seed for seed in control if seed in attacked]
    beaten = [seed for seed in both if _better_for_attacker(control[seed], attacked[seed], risk.game.primary.better)]
    if not both or len(beaten) * 2 <= len(both) or risk.game.risk != "evasion":
        return ()
    seeds = f"{len(beaten)} of {len(both)} seeds"
    return (f"the control does more harm than the attacks on {seeds}: gradients may be masked",)


def _better_for_attacker(one: float, other: float, better: Better) -> bool:
    return one < other if better == "higher" else one > other


def _expected(row: RowPlan, risk: RiskPlan) -> tuple[Expected, ...]:
    found = [expected(defense_of(use).sok, risk.game.sok) for use in row.chain]
    return tuple(one for one in found if one is not None)


def _missing(
    row: RowPlan, risk: RiskPlan, values: Mapping[int, float], effect: Effect | None, cells: Sequence[Cell]
) -> str:
    attacked = [cell for cell in cells if not cell.control]
    reasons = [f"{cell.status}: {cell.reason}" for cell in attacked if cell.status != "ok"]
    reasons += [f"withheld: {text}" for cell in attacked for text in _withheld(cell, risk)]
    if not attacked and cells:
        return "no attack was asked for, only the control"
    if not values:
        return "; ".join(dict.fromkeys(reasons)) or "not measured: the run ended before"
    if effect is None and row.kind != "none":
        return 'nothing to compare with: the row "none" has no value for the same seeds'
    return ""


def _withheld(cell: Cell, risk: RiskPlan) -> list[str]:
    primary = risk.game.primary
    found = values_of(cell, f"builtin/{primary.metric}", primary.value)
    return [value.reason for value in found if isinstance(value, Withheld)]
