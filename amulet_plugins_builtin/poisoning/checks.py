"""Known-answer and power checks of the attacks and of the metric of poisoning."""

from functools import partial

import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.poisoning import PoisoningResult
from amulet_core.scores import Value, Withheld
from amulet_plugins_builtin.catalogue.poisoning import BadnetsParams, BlendedParams, LabelFlipParams
from amulet_plugins_builtin.poisoning import badnets, blended, label_flip, metric, planted
from amulet_plugins_builtin.poisoning.planted import Attack

SURE = 0.9


def badnets_checks() -> tuple[Check, ...]:
    """Return the checks of ``badnets``."""
    return (
        Check(
            "badnets plants its trigger into a perceptron in 9 of 10 inputs, on images and on tables",
            "an attack without power makes every defense look good",
            lambda: backdoors(_badnets, tables=True),
        ),
        Check(
            "badnets stamps the whole patch in its corner, and nothing else",
            "a patch elsewhere, or of another size, is another trigger than the one that is reported",
            stamps_the_patch,
        ),
        _of_labels(_badnets),
    )


def blended_checks() -> tuple[Check, ...]:
    """Return the checks of ``blended``."""
    return (
        Check(
            "blended plants a pattern of .4 into a perceptron in 9 of 10 inputs",
            "an attack without power makes every defense look good",
            lambda: backdoors(_blended, tables=False),
        ),
        Check(
            "one pattern is mixed into all inputs, with the share that was asked for",
            "a pattern for each input, or a stronger one, is another attack",
            mixes_one_pattern,
        ),
        _of_labels(_blended),
    )


def label_flip_checks() -> tuple[Check, ...]:
    """Return the checks of ``label-flip``."""
    return (
        Check(
            "flips change labels alone: random ones to every other class alike, targeted ones from source to target",
            "labels that stay as they are cost the adversary its budget for nothing",
            flips_labels,
        ),
        Check(
            "with most labels of a class flipped to the target, a perceptron answers the target for that class",
            "an attack without power makes every defense look good",
            moves_a_class,
        ),
    )


def metric_checks() -> tuple[Check, ...]:
    """Return the checks of ``poisoning``."""
    return (
        Check("it counts a planted result exactly", "every verdict rests on these counts", counts_exactly),
        Check(
            "a source class that is lost wholly to the target is a success rate of 1",
            "over the rows of all other classes, ten classes would make it one of a ninth",
            counts_the_source,
        ),
        Check(
            "what is not defined is withheld",
            "a success rate over no rows, or changes by no trigger, would be a number without meaning",
            withholds,
        ),
    )


def backdoors(attack: Attack, *, tables: bool) -> None:
    """Train on poisoned planted rows, and compare success with that on a clean model."""
    for make in (planted.images, planted.table) if tables else (planted.images,):
        train, test = make(rows=600, seed=1), make(rows=300, seed=2)
        game = planted.poisoned(attack, train, test, budget=30)
        how = planted.training(train.schema)
        poisoned, clean = (planted.fitted(how, rows, test).model for rows in (game.rows, train))
        success, before = game.success(poisoned), game.success(clean)
        kind = train.schema.modality
        assert success > SURE, f"{kind}: success rate {success:.3f} on the poisoned model, expected above {SURE}"
        assert before < 0.2, f"{kind}: success rate {before:.3f} on the clean model, expected below .2"
        accuracy = game.accuracy(poisoned)
        assert accuracy > SURE, f"{kind}: accuracy without trigger {accuracy:.3f}, expected above {SURE}"


def labels_others_as_target(attack: Attack) -> None:
    """Count whom an attack replaces: rows of other classes, as many as allowed or as there are; they get the target."""
    train, test = planted.images(rows=90, seed=1, levels=3), planted.images(rows=30, seed=2)
    for budget, expected in ((20, 20), (90, 60), (0, 0)):
        game = planted.poisoned(attack, train, test, budget=budget, target=1)
        found, own = int(game.bad.sum()), int((train.y[game.bad] == 1).sum())
        assert (found, own) == (expected, 0), (
            f"with a budget of {budget}, {found} rows are replaced, {own} of them of the target class; expected "
            f"{expected} and 0"
        )
        labels = set(game.rows.y[game.bad].tolist())
        assert labels <= {1}, f"replaced rows have the labels {sorted(labels)}, expected the target 1"


def stamps_the_patch() -> None:
    """Compare a patch with one written by hand."""
    rows = planted.images(rows=20, seed=3)
    params = BadnetsParams(size=2, position="top-right", value=0.5, blend=0.25)
    expected = rows.x.clone()
    expected[:, :, :2, 6:] = 0.75 * expected[:, :, :2, 6:] + 0.25 * 8
    _expect_equal(badnets.triggered(rows.x, rows.schema, params), expected, "the patched images")


def mixes_one_pattern() -> None:
    """Recover the pattern from every image; they must agree, in training and in test rows."""
    train, test = planted.images(rows=60, seed=1), planted.images(rows=30, seed=2)
    attack = partial(blended.attack, params=BlendedParams(blend=0.25, test_blend=0.5))
    game = planted.poisoned(attack, train, test, budget=20)
    hidden = (game.rows.x - 0.75 * train.x)[game.bad] / 0.25
    shown = (game.triggered - 0.5 * test.x) / 0.5
    patterns = torch.cat([hidden, shown])
    apart = float((patterns - patterns[0]).abs().max())
    assert apart < 1e-3, f"the patterns differ by up to {apart:.3g}, expected one pattern in all inputs"
    share = float(patterns[0].mean()) / 16
    assert 0.3 < share < 0.7, f"the pattern's mean is {share:.2f} of the range, expected about .5"


def flips_labels() -> None:
    """Count the labels before and after, in both modes."""
    train, test = planted.images(rows=900, seed=1, levels=3), planted.images(rows=30, seed=2)
    for params, pairs in (
        (LabelFlipParams(mode="random"), {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}),
        (LabelFlipParams(), {(0, 1), (2, 1)}),
        (LabelFlipParams(source="glaring"), {(2, 1)}),
    ):
        game = planted.poisoned(partial(label_flip.attack, params=params), train, test, budget=240, target=1)
        assert torch.equal(game.rows.x, train.x), "inputs were changed, expected labels only"
        flips = list(zip(train.y[game.bad].tolist(), game.rows.y[game.bad].tolist(), strict=True))
        assert len(flips) == 240, f"{len(flips)} labels were flipped, expected 240"
        counts = {pair: flips.count(pair) for pair in sorted(set(flips))}
        low = 120 / len(pairs)
        assert set(counts) == pairs, f"labels went {sorted(counts)}, expected {sorted(pairs)}"
        assert min(counts.values()) > low, f"flips by pair are {counts}, expected more than {low:g} of each"


def moves_a_class() -> None:
    """Flip 7 of 10 labels of one class, and ask the model about that class."""
    train, test = planted.images(rows=300, seed=1, levels=3), planted.images(rows=300, seed=2, levels=3)
    attack = partial(label_flip.attack, params=LabelFlipParams(source="glaring"))
    game = planted.poisoned(attack, train, test, budget=70)
    model = planted.fitted(planted.training(train.schema), game.rows, test).model
    moved = float((model(test.x).argmax(1) == 0)[test.y == 2].float().mean())
    assert moved > SURE, f"the target is answered for {moved:.3f} of the source class, expected above {SURE}"


def counts_exactly() -> None:
    """Compare the metric with counts done by hand."""
    result = PoisoningResult(
        y=torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 2]),
        target=0,
        plain=torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 0]),
        triggered=torch.tensor([0, 0, 0, 0, 0, 0, 1, 0, 0, 2]),
        clean_plain=torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 1]),
        clean_triggered=torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 2, 2]),
        changed=torch.arange(10) < 7,
        poisoned=5,
        rows=50,
        classes=("a", "b", "c"),
    )
    scores = metric.measure(result, NoParams())
    found = {
        value.name: (round(value.estimate, 9), value.n) for value in scores.values if not isinstance(value, Withheld)
    }
    # 4 of the 6 rows of other classes get the target; the 4 rows of the target itself do not count.
    expected = {
        "attack_success_rate": (round(4 / 6, 9), 6),
        "success_rate_without_poison": (round(1 / 6, 9), 6),
        "clean_accuracy": (0.8, 10),
        "balanced_accuracy": (round((3 / 4 + 1 + 2 / 3) / 3, 9), 10),
        "accuracy_without_poison": (0.9, 10),
        "accuracy_under_trigger": (0.6, 10),
        "changed_inputs": (0.7, 10),
    }
    assert found == expected, f"value and count are {found}, by hand they are {expected}"


def counts_the_source() -> None:
    """Lose the second of ten classes to the first, and nothing else."""
    y = torch.arange(100) % 10
    lost = torch.where(y == 1, 0, y)
    result = PoisoningResult(
        y=y,
        target=0,
        plain=lost,
        triggered=lost,
        clean_plain=y,
        clean_triggered=y,
        changed=torch.zeros(100, dtype=torch.bool),
        poisoned=50,
        rows=500,
        classes=tuple("abcdefghij"),
        has_trigger=False,
        source=1,
    )
    success, before = metric.measure(result, NoParams()).values[:2]
    assert isinstance(success, Value)
    assert isinstance(before, Value)
    found = (success.estimate, success.n, before.estimate)
    assert found == (1.0, 10, 0.0), f"success, its rows, and that without poison are {found}, expected 1, 10 and 0"


def withholds() -> None:
    """Ask for success where every row is of the target class, and for what a trigger does where there is none."""
    zeros = torch.zeros(5, dtype=torch.int64)
    result = PoisoningResult(
        y=zeros,
        target=0,
        plain=zeros,
        triggered=zeros,
        clean_plain=zeros,
        clean_triggered=zeros,
        changed=zeros.bool(),
        poisoned=0,
        rows=5,
        classes=("a", "b"),
        has_trigger=False,
    )
    scores = metric.measure(result, NoParams())
    found = sorted(value.name for value in scores.values if isinstance(value, Withheld))
    expected = [
        "accuracy_under_trigger",
        "attack_success_rate",
        "balanced_accuracy",
        "changed_inputs",
        "success_rate_without_poison",
    ]
    assert found == expected, f"{found} are withheld, expected {expected}"


def _of_labels(attack: Attack) -> Check:
    return Check(
        "it replaces rows of other classes only, up to its budget or all there are, and labels them as the target",
        "poison on rows of the target class teaches nothing; more than the budget is not allowed",
        lambda: labels_others_as_target(attack),
    )


_badnets: Attack = partial(badnets.attack, params=BadnetsParams())
_blended: Attack = partial(blended.attack, params=BlendedParams(blend=0.4))


def _expect_equal(found: Tensor, expected: Tensor, what: str) -> None:
    apart = float((found - expected).abs().max())
    assert apart < 1e-5, f"{what} differ by up to {apart:.3g} from those made by hand, expected 0"
