"""What a chain keeps of what its members do alone: every verdict, and what none is given for."""

import math
from typing import Any

import numpy as np
import pytest

from amulet_core.matrix.conflicts import conflicts
from amulet_core.results import Column, Conflict, Effect, Entry, Member, Row
from amulet_core.statistics.verdicts import Differences, verdicts

NONE = (0.40, 0.42, 0.41, 0.39, 0.40)
ALONE = (0.70, 0.71, 0.69, 0.70, 0.70)
SAME = (0.70, 0.70, 0.70, 0.69, 0.70)
PART = (0.55, 0.54, 0.55, 0.56, 0.55)
GONE = (0.40, 0.41, 0.40, 0.39, 0.40)
WILD = (0.9, 0.4, 0.8, 0.5, 0.75)


def member(name: str, **params: int) -> Member:
    return Member(id=f"builtin/{name}", version="1", distribution="d", params=dict(params), summary="a defense")


ROWS = (
    Row(label="none", kind="none"),
    Row(label="a", kind="defense", chain=(member("a"),)),
    Row(label="b", kind="defense", chain=(member("b"),)),
    Row(label="both", kind="defense", chain=(member("a"), member("b"))),
)
EVASION: dict[str, Any] = {"risk": "evasion", "title": "Evasion", "threat": {}, "better": "higher", "margin": 0.05}


def column(**changes: Any) -> Column:
    primary = {"primary_metric": "builtin/robustness", "primary_value": "r", "primary_label": "robust accuracy"}
    return Column(**EVASION | primary | changes)


def entry(row: str, values: tuple[float, ...] = (), verdict: str = "", **changes: Any) -> Entry:
    mean = sum(values) / len(values) if values else None
    effect = None
    if verdict:
        reason = "" if verdict.startswith("risk") else "the reason"
        effect = Effect(difference=(mean or 0) - 0.404, seeds=len(values), verdict=verdict, verdict_reason=reason)
    return Entry(row=row, risk="evasion", values=tuple(enumerate(values)), mean=mean, effect=effect, **changes)


def judged(*entries: Entry, rows: tuple[Row, ...] = ROWS, **changes: Any) -> tuple[Conflict, ...]:
    options = {"overlap": 0.0, "members_alone": True} | {k: changes.pop(k) for k in ("overlap",) if k in changes}
    given = {"none": entry("none", NONE), "b": entry("b", inapplicable=True)}
    given |= {one.row: one for one in entries}
    return conflicts(rows, [column(**changes)], tuple(given.values()), **options)


@pytest.mark.parametrize(
    ("chain", "verdict", "partial"),
    [
        (entry("both", SAME, "risk down"), "kept", False),
        (entry("both", PART, "risk down"), "conflict", True),
        (entry("both", GONE, "no change"), "conflict", False),
        (entry("both", WILD, "inconclusive"), "inconclusive", False),
    ],
    ids=["the same", "half of it left", "nothing left", "noise"],
)
def test_a_chain_is_judged_by_what_is_left_of_its_members_protection(chain: Entry, verdict: str, partial: bool) -> None:
    (found,) = judged(entry("a", ALONE, "risk down"), chain)
    assert (found.chain, found.member, found.alone, found.risk) == ("both", "builtin/a", "a", "evasion")
    assert (found.verdict, found.partial, found.verdict_reason, found.seeds) == (verdict, partial, "", 5)
    assert found.without == pytest.approx(0.404)
    assert found.with_member == pytest.approx(0.7)
    assert found.together == pytest.approx(chain.mean)
    assert found.difference == pytest.approx(found.together - found.with_member)
    assert found.low < found.difference < found.high
    assert (found.level, found.p_adjusted) == (pytest.approx(0.95), found.p)


def test_where_lower_is_better_a_higher_value_is_the_loss() -> None:
    values = tuple(1 - value for value in ALONE), tuple(1 - value for value in GONE)
    (found,) = judged(entry("a", values[0], "risk down"), entry("both", values[1], "no change"), better="lower")
    assert (found.verdict, found.difference) == ("conflict", pytest.approx(0.3))


def test_a_bound_is_no_protection_that_a_chain_could_lose() -> None:
    known = entry("a", ALONE, "risk down"), entry("both", GONE, "no change")
    assert len(judged(*known)) == 1
    assert judged(*known, bound=True) == ()


@pytest.mark.parametrize("verdict", ["risk up", "no change", "inconclusive"])
def test_a_member_that_protects_from_nothing_has_nothing_to_lose(verdict: str) -> None:
    assert judged(entry("a", ALONE, verdict), entry("both", GONE, "no change")) == ()


def test_utility_is_no_risk() -> None:
    assert judged(entry("a", ALONE, "risk down"), entry("both", GONE, "no change"), risk="utility") == ()


@pytest.mark.parametrize(
    ("other", "pairs"),
    [
        (entry("b", ALONE, "risk down"), 2),
        (entry("b", ALONE, "no change"), 2),
        (entry("b", ALONE, "blocked"), 2),
        (entry("b", ALONE, "degenerate", degenerate="near chance"), 1),
        (entry("b", ALONE[:4], "too few seeds"), 1),
    ],
    ids=lambda value: value.effect.verdict if isinstance(value, Entry) else "",
)
def test_all_pairs_of_a_column_that_could_be_tested_are_adjusted_for_whether_listed_or_not(
    other: Entry, pairs: int
) -> None:
    found = judged(entry("a", ALONE, "risk down"), other, entry("both", GONE, "no change"))[0]
    assert (found.member, found.verdict) == ("builtin/a", "conflict")
    assert found.p_adjusted == pytest.approx(pairs * found.p)
    assert found.level == pytest.approx(1 - 0.05 / pairs)


@pytest.mark.parametrize("noise", [(1.0, 1.0, 1.0), (0.3, 1.0, 0.3), (0.3, 1.0, 1.0)])
def test_at_most_five_percent_of_columns_without_an_interaction_have_a_conflict(
    noise: tuple[float, float, float],
) -> None:
    """Four chains of two, whose effect is that of each of their members; only members with "risk down" are listed."""
    chains = [(place, 2 * place, 2 * place + 1) for place in range(4)]
    rows = (
        Row(label="none", kind="none"),
        *(Row(label=f"m{i}", kind="defense", chain=(member(f"m{i}"),)) for i in range(8)),
        *(Row(label=f"c{c}", kind="defense", chain=(member(f"m{a}"), member(f"m{b}"))) for c, a, b in chains),
    )
    generator, runs, hits, listed = np.random.default_rng(5), 400, 0, 0
    for _ in range(runs):
        spread = np.array([noise[0], *[noise[1]] * 8, *[noise[2]] * 4])[:, None]
        values = spread * generator.standard_normal((13, 5)) + np.array([0.0, *[0.75] * 12])[:, None]
        column_of = [Differences(row.label, tuple(own - values[0])) for row, own in zip(rows, values, strict=True)][1:]
        verdict = dict(
            zip((row.label for row in rows[1:]), verdicts(column_of, margin=0.5, better="higher"), strict=True)
        )
        given = [
            entry(row.label, tuple(own), verdict[row.label].verdict if row.chain else "")
            for row, own in zip(rows, values, strict=True)
        ]
        found = conflicts(rows, [column(margin=0.5)], given, overlap=0.0, members_alone=True)
        listed += len(found)
        hits += any(one.verdict == "conflict" for one in found)
    assert hits / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert listed > 10  # there was something to get wrong


def test_overlap_widens_the_interval() -> None:
    near, far = (judged(entry("a", ALONE, "risk down"), entry("both", PART), overlap=o)[0] for o in (0.0, 1.0))
    assert far.high - far.low == pytest.approx((near.high - near.low) * 6**0.5)


@pytest.mark.parametrize(
    ("alone", "chain", "verdict", "reason"),
    [
        (entry("a", ALONE, "blocked"), entry("both", GONE), "blocked", "alone: the reason"),
        (entry("a", ALONE, "degenerate"), entry("both", GONE), "degenerate", "alone: the reason"),
        (entry("a", ALONE[:4], "too few seeds"), entry("both", GONE), "too few seeds", "alone: the reason"),
        (entry("a", missing="it failed"), entry("both", GONE), "missing", "alone: it failed"),
        (entry("a", ALONE, "risk down"), entry("both", missing="it failed"), "missing", "together: it failed"),
        (
            entry("a", ALONE, "risk down"),
            entry("both", GONE, degenerate="near chance"),
            "degenerate",
            "together: near chance",
        ),
        (
            entry("a", ALONE, "risk down"),
            entry("both", GONE[:4]),
            "too few seeds",
            "together: 4 seeds, fewer than the 5 that a verdict needs",
        ),
        (
            entry("a", ALONE, "risk down"),
            entry("both", SAME, "blocked", warnings=("masked gradients",)),
            "blocked",
            "together: a warning stands against it: masked gradients",
        ),
    ],
)
def test_what_could_not_be_settled_says_why(alone: Entry, chain: Entry, verdict: str, reason: str) -> None:
    (found,) = judged(alone, chain)
    assert (found.verdict, found.verdict_reason) == (verdict, reason)
    assert (found.low is not None) == bool(
        alone.values and chain.values
    )  # an estimate all the same, where there is one


def test_a_warning_does_not_hide_a_conflict() -> None:
    (found,) = judged(entry("a", ALONE, "risk down"), entry("both", GONE, "no change", warnings=("masked gradients",)))
    assert (found.verdict, found.verdict_reason) == ("conflict", "")


@pytest.mark.parametrize(
    ("alone", "together", "verdict", "reason"),
    [
        (6, 6, "inconclusive", "all seeds are alike, but 30 trials in all are too few to settle a loss of 0.05"),
        (60, 6, "inconclusive", "all seeds are alike, but 30 trials in all are too few to settle a loss of 0.05"),
        (60, 60, "kept", ""),
        (None, 6, "kept", ""),  # results of before it was kept how many there were
    ],
)
def test_a_chain_that_is_like_its_member_on_all_seeds_kept_its_protection_only_if_they_are_of_many_trials(
    alone: int | None, together: int, verdict: str, reason: str
) -> None:
    given = (entry(row, inapplicable=True) for row in ("none", "b"))
    pair = owned("a", (1.0,) * 5, n=alone, low=0.9), owned("both", (1.0,) * 5, n=together)
    (found,) = judged(*given, *pair, floor=0.05, share=True)
    assert (found.verdict, found.verdict_reason) == (verdict, reason)


def test_the_trials_behind_what_is_no_share_do_not_count() -> None:
    (found,) = judged(entry("a", ALONE, "risk down", n=6), entry("both", ALONE, "risk down", n=6))
    assert (found.verdict, found.verdict_reason) == ("kept", "")


def test_where_none_is_warned_of_a_blocked_member_may_protect_whatever_the_estimate() -> None:
    none = entry("none", NONE, warnings=("masked gradients",))
    (found,) = judged(none, entry("a", (0.3,) * 5, "blocked"), entry("both", GONE))
    assert (found.verdict, found.verdict_reason) == ("blocked", "alone: the reason")


@pytest.mark.parametrize("verdict", ["blocked", "degenerate", "too few seeds"])
def test_without_a_verdict_only_estimates_for_the_better_are_listed(verdict: str) -> None:
    assert judged(entry("a", (0.3,) * 5, verdict), entry("both", GONE)) == ()


@pytest.mark.parametrize("verdict", ["blocked", "degenerate", "too few seeds"])
def test_where_lower_is_better_a_lower_estimate_is_the_one_that_is_listed(verdict: str) -> None:
    chain = entry("both", GONE)
    (found,) = judged(entry("a", (0.3,) * 5, verdict), chain, better="lower")
    assert found.verdict == verdict
    assert judged(entry("a", ALONE, verdict), chain, better="lower") == ()


def test_overlap_widens_the_interval_of_what_is_not_tested() -> None:
    near, far = (judged(entry("a", ALONE, "blocked"), entry("both", PART), overlap=o)[0] for o in (0.0, 1.0))
    assert near.verdict == far.verdict == "blocked"
    assert far.high - far.low == pytest.approx((near.high - near.low) * 6**0.5)


def test_the_value_without_is_the_mean_over_the_seeds_that_are_compared() -> None:
    (found,) = judged(entry("a", ALONE, "risk down"), entry("both", GONE[:2]))
    assert found.without == pytest.approx((NONE[0] + NONE[1]) / 2)


def test_a_chain_without_a_seed_in_common_with_its_member_says_so() -> None:
    late = entry("both", GONE).model_copy(update={"values": tuple(enumerate(GONE, start=5))})
    (found,) = judged(entry("a", ALONE, "risk down"), late)
    assert (found.verdict, found.verdict_reason) == ("missing", "together: no seed in common with the member alone")
    assert (found.with_member, found.together) == (pytest.approx(0.7), None)


def test_a_member_without_an_entry_was_not_measured() -> None:
    (found,) = judged(entry("both", GONE, "no change"))
    assert (found.verdict, found.verdict_reason) == ("missing", "alone: not measured")


@pytest.mark.parametrize(
    ("members_alone", "reason"),
    [
        (True, "not measured alone: it cannot stand without the others of its chain"),
        (False, "not measured alone: the configuration says members_alone: false"),
    ],
)
def test_a_member_without_a_row_of_its_own_says_why(members_alone: bool, reason: str) -> None:
    rows = (*ROWS[:3], Row(label="both", kind="defense", chain=(member("a", steps=2), member("b"))))
    given = [entry("none", NONE), entry("a", ALONE, "risk down"), entry("b", NONE, "no change"), entry("both", GONE)]
    (found,) = conflicts(rows, [column()], given, overlap=0.0, members_alone=members_alone)
    assert (found.member, found.alone, found.verdict, found.verdict_reason) == ("builtin/a", "", "missing", reason)


def owned(row: str, values: tuple[float, ...] = (), **changes: Any) -> Entry:
    limits = {"low": min(values), "high": max(values)} if len(values) > 1 else {}
    return entry(row, values, missing="no value without", **limits | changes)


@pytest.mark.parametrize(
    ("better", "alone", "verdict"),
    [
        ("higher", owned("a", ALONE), "conflict"),
        ("higher", owned("a", ALONE, low=0.05), None),
        ("lower", owned("a", ALONE), None),
        ("higher", owned("a", ALONE, degenerate="near chance"), "degenerate"),
        ("higher", owned("a", ALONE, warnings=("few",)), "blocked"),
        ("higher", owned("a", ALONE[:4]), "too few seeds"),
        ("higher", owned("a", ALONE[:1]), "too few seeds"),
        ("higher", entry("a", missing="skipped: nothing to verify", inapplicable=True), None),
        ("higher", entry("a", missing="it failed"), "missing"),
    ],
)
def test_in_a_column_with_a_floor_a_member_protects_where_its_interval_is_clear_of_it(
    better: str, alone: Entry, verdict: str | None
) -> None:
    none, other = (entry(row, inapplicable=True) for row in ("none", "b"))
    found = judged(none, other, alone, owned("both", GONE), floor=0.05, better=better)
    assert [one.verdict for one in found] == ([] if verdict is None else [verdict])
    assert all(one.without == 0.05 for one in found)


def test_below_a_floor_a_lower_value_protects() -> None:
    none, other = (entry(row, inapplicable=True) for row in ("none", "b"))
    (found,) = judged(none, other, owned("a", GONE), owned("both", ALONE), floor=0.9, better="lower")
    assert (found.verdict, found.partial) == ("conflict", True)
