"""The checks that the defenses from evasion ship: each of them catches what it is there for."""

import pytest

from amulet_plugins_builtin.evasion import checks_of_defenses, checks_of_smoothing, smoothing, trades

_divergence, _train, _votes = trades.divergence, smoothing.train, smoothing.votes


def majority(base, x, scale, *, draws, classes):
    return _votes(lambda at: 1e6 * base(at), x, scale, draws=draws, classes=classes)


@pytest.mark.parametrize(
    ("part", "mutant", "check", "text"),
    [
        (
            "trades.divergence",
            lambda logits, other: _divergence(other, logits),
            checks_of_defenses.penalises_by_hand,
            "the penalty is off by",
        ),
        (
            "trades.most_divergent",
            lambda params, schema: lambda frozen, batch: batch.x + 0.1 * batch.draws["start"],
            checks_of_defenses.penalises_by_hand,
            "the penalty is off by",
        ),
        (
            "smoothing.train",
            lambda training, params, context: training,
            checks_of_smoothing.trains_under_the_noise,
            r"the training draws \[\], expected normal noise",
        ),
        (
            "smoothing.train",
            lambda training, params, context: _train(training, params.model_copy(update={"sigma": 0.25}), context),
            checks_of_smoothing.trains_under_the_noise,
            "rows are off by",
        ),
        (
            "smoothing.reach",
            lambda schema, *, norm, epsilon: epsilon,
            checks_of_smoothing.covers_the_corners_of_a_budget,
            "certified rows",
        ),
        (
            "smoothing.votes",
            majority,
            checks_of_smoothing.proves_the_mean_and_not_the_majority,
            "rows are certified whose mean falls below one half",
        ),
    ],
)
def test_a_mutant_is_caught(monkeypatch, part, mutant, check, text):
    monkeypatch.setattr(f"amulet_plugins_builtin.evasion.{part}", mutant)
    with pytest.raises(AssertionError, match=text):
        check()
