"""The defenses against poisoning: what they remove, what they leave behind, and that they compose."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from amulet_core.training.values import Streams
from amulet_plugins_builtin.catalogue.evasion import AdversarialTrainingParams
from amulet_plugins_builtin.catalogue.poisoning_defenses import (
    ActivationClusteringParams,
    FinePruningParams,
    OutlierRemovalParams,
    SpectralSignaturesParams,
)
from amulet_plugins_builtin.evasion import adversarial_training
from amulet_plugins_builtin.poisoning import (
    activation_clustering,
    fine_pruning,
    outlier_removal,
    planted,
    spectral_signatures,
)
from amulet_plugins_builtin.poisoning.rates import leaving
from amulet_plugins_builtin.poisoning.removal import RowsRemoved

DEFENSES = {
    "outlier-removal": (outlier_removal.train, OutlierRemovalParams),
    "fine-pruning": (fine_pruning.train, FinePruningParams),
    "activation-clustering": (activation_clustering.train, ActivationClusteringParams),
    "spectral-signatures": (spectral_signatures.train, SpectralSignaturesParams),
}
IDLE = {
    "outlier-removal": {"share": 0},
    "activation-clustering": {"largest_share": 0.001},
    "spectral-signatures": {"share": 0},
}


SUSPICIOUS = {"activation-clustering": {"silhouette": -1, "largest_share": 0.499}}
"""Settings under which a defense acts on clean rows too."""


def rows(n=300, seed=1):
    return planted.images(rows=n, seed=seed)


def protected(name, *, epochs=3, **params):
    train, kind = DEFENSES[name]
    return train(planted.training(planted.IMAGES, epochs=epochs), kind(**params), planted.context(rows()))


def fits(training, data, val):
    streams = [Streams(("test", index)) for index in range(len(data))]
    return training.fit(training, data, val, streams)


def weights(fitted):
    return fitted.model.state_dict()


def same(one, other):
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


@pytest.mark.parametrize("name", IDLE)
def test_where_nothing_is_removed_the_model_is_bit_for_bit_the_undefended_one(name):
    data, val = [rows(seed=seed) for seed in (1, 2)], [rows(60, seed=seed) for seed in (3, 4)]
    plain = planted.training(planted.IMAGES, epochs=3)
    for one, other in zip(fits(plain, data, val), fits(protected(name, **IDLE[name]), data, val), strict=True):
        assert same(one, other)
        assert other.evidence[name] == RowsRemoved(rows=300, removed=0, by_class={"dark": 0, "bright": 0, "glaring": 0})


@pytest.mark.parametrize("name", ["outlier-removal", "spectral-signatures"])
def test_the_model_is_the_one_trained_from_scratch_on_the_rows_that_are_left(name):
    data, val, plain = rows(), rows(60, seed=3), planted.training(planted.IMAGES, epochs=3)
    (found,) = fits(protected(name, share=0.1), [data], [val])
    if name == "outlier-removal":
        removed = outlier_removal.lowest(data, val, params=OutlierRemovalParams())
    else:
        (first,) = plain.fit(plain, [data], [val], [Streams(("test", 0, name, "first"))])
        removed = spectral_signatures.outlying(first.model, data, params=SpectralSignaturesParams())
    keep = torch.ones(300, dtype=torch.bool)
    keep[removed] = False
    (expected,) = fits(plain, [data.take(keep)], [val])
    assert same(found, expected)
    assert not same(found, fits(plain, [data], [val])[0])
    assert found.evidence[name].removed == len(removed) == {"outlier-removal": 30, "spectral-signatures": 90}[name]


def test_every_model_loses_equally_many_outliers_so_that_a_stack_stays_one():
    data = [rows(301, seed=1), rows(301, seed=2)]
    data[1].y[:80] = 0
    sizes = []
    plain = planted.training(planted.IMAGES, epochs=1)

    def watching(training, given, val, streams):
        sizes.append([len(one) for one in given])
        return plain.fit(training, given, val, streams)

    training = outlier_removal.train(
        replace(plain, fit=watching), OutlierRemovalParams(share=0.17), planted.context(rows())
    )
    fits(training, data, [rows(60, seed=3)] * 2)
    assert sizes[-1] == [301 - 51, 301 - 51]


@pytest.mark.parametrize("name", DEFENSES)
def test_the_validation_rows_reach_the_training_whole(name):
    val, seen = rows(100, seed=3), []
    plain = planted.training(planted.IMAGES, epochs=3)

    def watching(training, given, held, streams):
        seen.extend(held)
        return plain.fit(training, given, held, streams)

    train, kind = DEFENSES[name]
    fits(train(replace(plain, fit=watching), kind(), planted.context(rows())), [rows()], [val])
    assert seen
    assert all(one is val for one in seen)


def test_what_is_removed_is_counted_by_its_label():
    data, val = rows(), rows(60, seed=3)
    (found,) = fits(protected("outlier-removal", share=0.2), [data], [val])
    removed = outlier_removal.lowest(data, val, params=OutlierRemovalParams(share=0.2))
    counts = torch.bincount(data.y[removed], minlength=3).tolist()
    assert found.evidence["outlier-removal"].by_class == dict(zip(("dark", "bright", "glaring"), counts, strict=True))
    assert sum(counts) == 60


@pytest.mark.parametrize(
    ("own", "rows", "share", "largest_share", "expected"),
    [
        (500, 1000, 0.1, 0.5, 150),  # 1.5 times the poison there may be in all, whatever the class
        (300, 1000, 0.1, 0.5, 150),
        (200, 1000, 0.1, 0.5, 100),  # but half of a class stays
        (200, 1000, 0.1, 0.25, 50),
        (1, 1000, 0.1, 0.5, 0),
        (0, 1000, 0.1, 0.5, 0),
        (500, 1000, 0.0, 0.5, 0),
        (500, 1000, 0.002, 0.5, 3),
        (500, 1000, 0.006, 0.5, 9),  # 1.5 * .006 * 1000 is 8.999999999999998
    ],
)
def test_of_each_class_leave_one_and_a_half_times_the_poison_there_may_be_but_no_more_than_a_share(
    own, rows, share, largest_share, expected
):
    assert leaving(own, rows, share=share, largest_share=largest_share) == expected


def test_spectral_signatures_take_the_same_count_of_every_class_whatever_its_size():
    """Of 300 rows 4 may be poison: 6 leave each class, but of the class with 8 rows half stay."""
    data = rows()
    data.y[:] = torch.tensor([0] * 200 + [1] * 92 + [2] * 8)
    (found,) = fits(protected("spectral-signatures", epochs=1, share=4 / 300), [data], [rows(60, seed=3)])
    assert found.evidence["spectral-signatures"].by_class == {"dark": 6, "bright": 6, "glaring": 4}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "outlier-removal",
            "outlier-removal values training rows on validation rows, and there are none: set data.val to 100 or so",
        ),
        ("fine-pruning", "fine-pruning prunes by validation rows, and there are none: set data.val to 100 or so"),
    ],
)
def test_without_validation_rows_there_is_an_error_that_says_what_to_set(name, text):
    with pytest.raises(ValueError, match="validation rows") as error:
        fits(protected(name), [rows()], [rows().take(torch.zeros(0, dtype=torch.int64))])
    assert str(error.value) == text


class Opaque(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, x):
        return self.layer(x.flatten(-3))


@pytest.mark.parametrize("name", ["fine-pruning", "activation-clustering", "spectral-signatures"])
def test_an_architecture_without_hidden_features_is_refused_by_name(name):
    train, kind = DEFENSES[name]
    plain = replace(planted.training(planted.IMAGES, epochs=1), parts={"model": Opaque})
    training = train(plain, kind(), planted.context(rows()))
    with pytest.raises(ValueError, match="hidden features") as error:
        fits(training, [rows()], [rows(60, seed=3)])
    assert str(error.value) == (
        f"{name} needs an architecture that shows its hidden features (amulet_core.modules.Classifier), and Opaque "
        "does not: choose another model, such as mlp or cnn"
    )


def test_outlier_removal_needs_no_hidden_features():
    plain = replace(planted.training(planted.IMAGES, epochs=1), parts={"model": Opaque})
    training = outlier_removal.train(plain, OutlierRemovalParams(), planted.context(rows()))
    (found,) = fits(training, [rows()], [rows(60, seed=3)])
    assert found.evidence["outlier-removal"].removed == 30


@pytest.mark.parametrize(("drop", "expected"), [(0.0, [2]), (0.49, [2]), (0.5, [2, 1, 0])])
def test_units_go_in_the_order_of_their_activity_as_long_as_accuracy_allows(drop, expected):
    """Unit 0 says dark (mean .6), unit 1 bright (.5), unit 2 next to nothing (.1); half of the rows are dark."""
    found = fine_pruning.idle_units(planted.ThreeUnits(), planted.units_of_known_activity(), accuracy_drop=drop)
    assert found.tolist() == expected


def test_pruning_goes_by_balanced_accuracy_lest_a_frequent_class_is_all_that_is_left():
    """Nine rows of ten are dark: saying so of all of them costs .1 of accuracy, but half of the balanced one."""
    y = (torch.arange(20) % 10 == 0).long()
    data = replace(rows(20), y=y, x=torch.zeros(20, 1, 8, 8))
    data.x[:, 0, 0, 0] = 16.0 * (y == 0)
    data.x[:, 0, 0, 1] = 16.0 * (y == 1)
    assert fine_pruning.idle_units(planted.ThreeUnits(), data, accuracy_drop=0.2).tolist() == [2]
    assert fine_pruning.idle_units(planted.ThreeUnits(), data, accuracy_drop=0.5).tolist() == [2, 1, 0]


def test_fine_pruning_leaves_the_model_it_is_given_alone_and_pruned_units_at_zero():
    data, val = rows(), rows(100, seed=3)
    inner = planted.training(planted.IMAGES, epochs=10)
    given = []

    def watching(training, *rest):
        given.extend(inner.fit(training, *rest))
        return given

    training = fine_pruning.train(replace(inner, fit=watching), FinePruningParams(epochs=4), planted.context(data))
    (found,) = fits(training, [data], [val])
    assert same(given[0], fits(inner, [data], [val])[0])
    evidence, idle = found.evidence["fine-pruning"], (weights(found)["head.weight"] == 0).all(0)
    assert evidence.units == 128
    assert 0 < evidence.pruned == int(idle.sum()) < 128
    assert not torch.equal(weights(found)["head.weight"][:, ~idle], weights(given[0])["head.weight"][:, ~idle])


def test_without_epochs_fine_pruning_prunes_and_tunes_nothing():
    data, val = rows(), rows(100, seed=3)
    inner = planted.training(planted.IMAGES, epochs=10)
    (plain,) = fits(inner, [data], [val])
    (found,) = fits(fine_pruning.train(inner, FinePruningParams(epochs=0), planted.context(data)), [data], [val])
    before, after = weights(plain), weights(found)
    idle = (after["head.weight"] == 0).all(0)
    before["head.weight"][:, idle] = 0
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    evidence = found.evidence["fine-pruning"]
    assert evidence.accuracy_tuned == evidence.accuracy_pruned >= evidence.accuracy - 0.04


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("name", DEFENSES)
def test_defenses_chain_with_adversarial_training_in_either_order(name, order):
    """Both act: the evidence is left, and the weights are neither those without the one nor those without the other."""
    data, val, plain = rows(), rows(100, seed=3), planted.training(planted.IMAGES, epochs=3)
    context = planted.context(data)
    harden = partial(adversarial_training.train, params=AdversarialTrainingParams(epsilon=0.05), context=context)
    train, kind = DEFENSES[name]
    protect = partial(train, params=kind(**SUSPICIOUS.get(name, {})), context=context)
    both = protect(harden(plain)) if order == "after" else harden(protect(plain))
    (found,) = fits(both, [data], [val])
    assert set(found.evidence) == {name}
    for alone in (harden(plain), protect(plain)):
        assert not same(found, fits(alone, [data], [val])[0])


def test_two_removals_chain_and_both_leave_their_evidence():
    data, val, context = rows(), rows(60, seed=3), planted.context(rows())
    plain = planted.training(planted.IMAGES, epochs=2)
    first = outlier_removal.train(plain, OutlierRemovalParams(share=0.1), context)
    both = spectral_signatures.train(first, SpectralSignaturesParams(share=0.1), context)
    (found,) = fits(both, [data], [val])
    assert found.evidence["spectral-signatures"].removed == 90
    assert (found.evidence["outlier-removal"].rows, found.evidence["outlier-removal"].removed) == (210, 21)


@pytest.mark.parametrize("name", DEFENSES)
def test_the_training_that_is_given_stays_as_it_was(name):
    plain = planted.training(planted.IMAGES)
    before = plain.fit
    train, kind = DEFENSES[name]
    assert train(plain, kind(), planted.context(rows())).fit is not before
    assert plain.fit is before
