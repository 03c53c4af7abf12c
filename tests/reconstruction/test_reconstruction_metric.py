"""The metric of reconstruction: errors by hand, similarity by the definition, and what is withheld."""

import math

import pytest
import torch

from amulet_core.games import reconstruction as game
from amulet_core.games.reconstruction import ReconstructionAnswer
from amulet_core.games.threats import ReconstructionThreat
from amulet_core.scores import Value
from amulet_plugins_builtin.catalogue.reconstruction import ReconstructionMetricParams
from amulet_plugins_builtin.reconstruction import attack_checks, metric, metric_checks, planted
from amulet_plugins_builtin.reconstruction.similarity import ssim

START, END = (torch.tensor(bound) for bound in (planted.TABLE.feasible.low, planted.TABLE.feasible.high))
PARAMS = ReconstructionMetricParams(resamples=2000)


def by_definition(a, b):
    """Return the structural similarity of two grey images by loops over places and pixels (Wang et al. 2004)."""
    height, width = a.shape
    size = min(11, *(side if side % 2 else side - 1 for side in (height, width)))
    middle = size // 2
    weights = [
        [math.exp(-((i - middle) ** 2 + (j - middle) ** 2) / (2 * 1.5**2)) for j in range(size)] for i in range(size)
    ]
    total = sum(map(sum, weights))
    found = []
    for top in range(height - size + 1):
        for left in range(width - size + 1):
            cells = [
                (weights[i][j] / total, float(a[top + i, left + j]), float(b[top + i, left + j]))
                for i in range(size)
                for j in range(size)
            ]
            mean_a, mean_b = sum(w * x for w, x, _ in cells), sum(w * y for w, _, y in cells)
            var_a = sum(w * (x - mean_a) ** 2 for w, x, _ in cells)
            var_b = sum(w * (y - mean_b) ** 2 for w, _, y in cells)
            both = sum(w * (x - mean_a) * (y - mean_b) for w, x, y in cells)
            found.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * both + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )
    return sum(found) / len(found)


@pytest.mark.parametrize("shape", [(2, 14, 12), (1, 8, 8), (1, 5, 3)])
def test_structural_similarity_is_that_of_the_definition(shape):
    a, b = torch.rand(3, *shape), torch.rand(3, *shape)
    expected = [
        sum(by_definition(x, y) for x, y in zip(*pair, strict=True)) / shape[0] for pair in zip(a, b, strict=True)
    ]
    assert ssim(a, b).tolist() == pytest.approx(expected, abs=1e-9)


def test_an_image_is_wholly_similar_to_itself_and_not_to_its_negative():
    image = torch.rand(2, 1, 12, 12)
    assert ssim(image, image).tolist() == pytest.approx([1, 1])
    assert max(ssim(image, 1 - image).tolist()) < 0


def many(rows=200, *, error=0.02, members=True):
    """Return a result of so many rows whose squared errors are exponential, of this mean, beside .04."""
    few = metric_checks.result()
    low, high = torch.tensor(planted.TABLE.feasible.low), torch.tensor(planted.TABLE.feasible.high)
    truth = (low + 0.5 * (high - low)).expand(rows, 3)
    sizes = torch.empty(rows, 1).exponential_().mul(error).sqrt().clamp(max=0.5)
    return few.model_copy(
        update={
            "x": truth + sizes * (high - low),
            "truth": truth,
            "of": torch.arange(rows),
            "member": torch.full((rows,), members),
            "class_mean": truth + 0.2 * (high - low),
            "zero": truth,
            "nearest_train": torch.ones(rows),
            "nearest_held_out": torch.ones(rows),
        }
    )


def test_intervals_cover_the_mean_error_about_as_often_as_they_say():
    repeats = [metric.measure(many(error=0.02), ReconstructionMetricParams(resamples=200)) for _ in range(60)]
    for name, truth in (("mse", 0.02), ("relative_error", 0.5)):
        covered = sum(scores[name].low <= truth <= scores[name].high for scores in repeats)
        assert 50 <= covered <= 60, name


def test_few_rows_have_no_interval_and_say_why():
    scores = metric.measure(many(rows=29), PARAMS)
    assert (scores["mse"].low, scores["relative_error"].low) == (None, None)
    assert scores["mse"].method == "mean; no interval from 29 rows (fewer than 30)"
    assert scores["relative_error"].method == "ratio of two mean errors; no interval from 29 rows (fewer than 30)"


EXACT = {"x": metric_checks.result().truth}
NOBODY = {"member": torch.zeros(3, dtype=torch.bool)}


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        (
            {"kind": "class"},
            "relative_error",
            "the column's verdict is about attacks of the kind row, this one's is class (threat.verdict)",
        ),
        (NOBODY, "relative_error", "no training row was to be reconstructed"),
        (NOBODY, "mse", "there are no such rows among those to be reconstructed"),
        (NOBODY, "psnr", "there are no such rows among those to be reconstructed"),
        (NOBODY, "nearest_train_over_held_out", "there are no such rows among those to be reconstructed"),
        (
            {"kind": "class"},
            "nearest_train_over_held_out_non_members",
            "an answer about a class shows training rows and others alike",
        ),
        (
            {"class_mean": metric_checks.result().truth},
            "relative_error",
            "the class mean is exact: every row is equal to it",
        ),
        (EXACT, "psnr", "infinite: the rows are exact"),
        ({}, "ssim", "structural similarity is one of images of 3 x 3 pixels or more"),
        (
            {"nearest_held_out": torch.zeros(3)},
            "nearest_train_over_held_out",
            "every reconstruction is equal to a held-out row",
        ),
        (
            {"nearest_train": torch.zeros(0), "nearest_held_out": torch.zeros(0)},
            "nearest_train_over_held_out",
            "no class has both training and held-out rows",
        ),
    ],
)
def test_what_cannot_be_measured_is_withheld_with_the_reason(change, name, reason):
    scores = metric.measure(metric_checks.result().model_copy(update=change), PARAMS)
    assert scores[name].reason == reason


ONE_FAR = torch.tensor([0.25] + 39 * [0.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("values", "least", "limits"),
    [
        (ONE_FAR, 0.0, (0.0, 0.018892)),
        (1 - ONE_FAR, -1.0, (0.981108, 1.0)),
        (0.5 + ONE_FAR, 0.0, (0.493608, 0.518892)),
    ],
)
def test_intervals_end_where_errors_and_similarities_end(values, least, limits):
    """The standard error of 40 values of which one is .25 off is .25 / 40, and the t quantile 2.0227."""
    found = metric._mean("mse", values, least=least)
    assert (found.low, found.high) == pytest.approx(limits, abs=1e-6)


def test_a_leak_of_everybody_and_one_of_members_alone_are_told_from_none():
    """On all rows together, those who are known exactly would cancel: members lie on training rows, others on theirs."""
    contest, threat = planted.uniform(planted.Telling(), planted.TABLE, kind="row"), ReconstructionThreat(rows=400)
    truth = game.judge(contest, ReconstructionAnswer(x=torch.zeros(400, 3) + START), threat).truth
    member = game.judge(contest, ReconstructionAnswer(x=truth), threat).member
    spread = torch.rand(400, 3) * (END - START) + START

    def found(x):
        scores = metric.measure(game.judge(contest, ReconstructionAnswer(x=x), threat), PARAMS)
        return [scores[f"nearest_train_over_held_out{end}"].estimate for end in ("", "_non_members")]

    everybody, members, nobody = found(truth), found(torch.where(member[:, None], truth, spread)), found(spread)
    assert everybody[0] < 0.2
    assert everybody[1] > 5
    assert members[0] < 0.2
    assert members[1] == pytest.approx(1, abs=0.15)
    assert nobody == pytest.approx([1, 1], abs=0.15)


def all_are(result, members):
    return result.model_copy(update={"member": torch.full_like(result.member, members)})


BROKEN = {
    "structural similarity is always 0": ("ssim", lambda a, b: torch.zeros(len(a)).double()),
    "structural similarity is of the means alone": ("ssim", lambda a, b: 1 - (a - b).double().flatten(1).mean(1) ** 2),
    "the bootstrap gives no interval": ("_bootstrapped", lambda *given: (0.0, 0.0)),
    "intervals are at another level": ("_LEVEL", 0.5),
    "nearest rows are those of all answers": (
        "_nearest",
        lambda result, *, members: NEAREST(all_are(result, members), members=members),
    ),
}
NEAREST = metric._nearest


@pytest.mark.parametrize("name", BROKEN)
def test_a_metric_that_is_broken_fails_a_check_that_it_ships(name, monkeypatch):
    monkeypatch.setattr(metric, *BROKEN[name])
    failed = 0
    for check in metric_checks.metric_checks():
        try:
            check.run()
        except AssertionError:
            failed += 1
    assert failed == 1


def test_images_without_training_rows_have_no_similarity():
    rows = planted.prototypes()
    contest = planted.clustered(planted.Silent(), rows, planted.IMAGES, kind="class")
    played = attack_checks.played(contest, attack_checks._mi_face, "white-box")
    assert isinstance(metric.measure(played, PARAMS)["ssim"], Value)
    outside = played.model_copy(update={"member": torch.zeros_like(played.member)})
    assert metric.measure(outside, PARAMS)["ssim"].reason == "there are no such rows among those to be reconstructed"


def test_errors_of_a_class_are_over_all_its_rows():
    contest = planted.uniform(planted.Telling(), planted.TABLE, kind="class")
    result = attack_checks.played(contest, lambda view: attack_checks.controls.class_mean(view, None), "none")
    unit = attack_checks.to_units
    by_hand = [
        (unit(result.x[label], planted.TABLE) - unit(row, planted.TABLE)).square().mean()
        for row, label in zip(contest.pool.x[contest.member], contest.pool.y[contest.member], strict=True)
    ]
    scores = metric.measure(result, PARAMS)
    assert scores["mse"].estimate == pytest.approx(float(torch.stack(by_hand).mean()), rel=1e-4)
    assert scores["relative_error"].estimate == pytest.approx(1.0, abs=1e-5)
    assert scores.details == {"reconstructed": "4 inputs of the kind class"}
