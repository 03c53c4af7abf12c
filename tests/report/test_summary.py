"""The summary says no more than the verdicts support."""

import pytest

from amulet_core.report.summary import summary
from amulet_core.results import Effect


@pytest.fixture
def judged(examples):
    """Return results whose one row has verdicts for evasion, membership inference and utility; None: missing."""

    def make(*verdicts, row="adversarial-training"):
        results = examples.example_results(defenses=1, hostile=False)
        columns = tuple(column for column in results.columns if column.risk != "discriminatory-behavior")
        wanted = dict(zip([column.risk for column in columns], verdicts, strict=True))
        entries = tuple(
            entry.model_copy(update={"effect": wanted[entry.risk] and _effect(wanted[entry.risk])})
            for entry in results.entries
            if entry.row == row and entry.risk in wanted
        )
        return results.model_copy(update={"columns": columns, "entries": entries})

    return make


def _effect(verdict):
    return Effect(difference=0.0456, seeds=5, verdict=verdict)


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        (
            ("risk down", "risk up", "risk up"),
            "raised the risk of membership inference (AUC +0.046), lowered the risk of evasion "
            "(robust accuracy +0.046) and cost utility (accuracy +0.046).",
        ),
        (
            ("risk up", "risk up", "risk down"),
            "raised the risks of evasion (robust accuracy +0.046) and membership inference (AUC +0.046) "
            "and added utility (accuracy +0.046).",
        ),
        (
            ("no change", "no change", "no change"),
            "left evasion, membership inference and utility within the margin.",
        ),
        (
            ("inconclusive", "degenerate", "blocked"),
            "got no verdict of a change. Inconclusive for evasion. "
            "Degenerate, hence no verdict, for membership inference. Verdict blocked for utility.",
        ),
        (
            ("too few seeds", None, "too few seeds"),
            "got no verdict of a change. Too few seeds for a verdict on evasion and utility. "
            "Not measured: membership inference.",
        ),
    ],
)
def test_a_defense_gets_one_sentence_that_its_verdicts_support(judged, verdicts, sentence):
    said = dict(summary(judged(*verdicts)).defenses)
    assert said["adversarial-training"] == sentence


def test_the_opening_counts_the_verdicts_about_risks_and_leaves_utility_out(judged):
    opening = summary(judged("risk down", "too few seeds", "risk up")).opening
    assert opening == (
        "2 defense rows compared with the undefended model on builtin/adult, over 5 seeds, for evasion and membership "
        "inference. Of 2 comparisons, 0 show risk up, 1 risk down, 0 no change beyond the margin, 0 inconclusive and "
        "1 without a verdict."
    )


def test_what_is_inconclusive_is_not_counted_among_what_has_no_verdict(judged):
    assert summary(judged("inconclusive", "degenerate", "no change")).opening.endswith(
        "Of 2 comparisons, 0 show risk up, 0 risk down, 0 no change beyond the margin, 1 inconclusive and 1 without a verdict."
    )


WIDE = (
    " The seeds share rows, which makes intervals 1.5 times as wide; with “design: disjoint” under data each seed has "
    "rows of its own, for which the data have enough."
)


@pytest.mark.parametrize(
    ("verdicts", "overlap", "data", "told"),
    [
        (("inconclusive", "inconclusive"), 0.25, {"rows": 15_000}, True),
        (("inconclusive", "inconclusive"), 0.25, {"rows": 14_999}, False),  # 5 x (2 x 1,000 train, 1,000 test)
        (("inconclusive", "inconclusive"), 0.25, {"rows": 15_000, "sizes": "not kept"}, False),
        (("inconclusive", "inconclusive"), 0.0, {"rows": 15_000}, False),
        (("inconclusive", "no change"), 0.25, {"rows": 15_000}, False),
    ],
)
def test_where_most_is_inconclusive_the_opening_says_what_makes_intervals_wide(judged, verdicts, overlap, data, told):
    results = judged(*verdicts, "no change")
    results = results.model_copy(update={"overlap": overlap, "data": results.data | data})
    assert summary(results).opening.endswith(WIDE) == told


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (("no change", "inconclusive", "no change"), "got no verdict of a change."),
        (
            ("no change", "risk up", "no change"),
            "got a verdict for membership inference (AUC +0.046): read the verdicts of these columns with caution.",
        ),
    ],
)
def test_a_placebo_with_a_verdict_is_a_warning(judged, verdicts, said):
    placebo = summary(judged(*verdicts, row="placebo")).placebo
    assert placebo == f"The placebo row, which differs from none by nothing but the training seed, {said}"


def test_without_a_placebo_the_noise_floor_is_called_unknown(judged):
    missing = summary(judged("no change", "no change", "no change")).placebo
    assert missing == "No placebo row was measured, so the noise floor is unknown."
