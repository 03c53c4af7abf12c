"""Whom the defenses against poisoning suspect: planted poison, and nobody where there is nothing to tell."""

from functools import partial

import pytest
import torch

from amulet_core.training.values import Streams
from amulet_plugins_builtin.catalogue.poisoning import BadnetsParams
from amulet_plugins_builtin.catalogue.poisoning_defenses import (
    ActivationClusteringParams,
    OutlierRemovalParams,
    SpectralSignaturesParams,
)
from amulet_plugins_builtin.poisoning import (
    activation_clustering,
    badnets,
    outlier_removal,
    planted,
    spectral_signatures,
)


def rows(n, seed=1):
    return planted.images(rows=n, seed=seed)


def fits(epochs, data):
    return planted.fitted(planted.training(planted.IMAGES, epochs=epochs), data, data).model


OWN = Streams(("suspects",))


def suspected(seen, **params):
    return activation_clustering.small_cluster(seen, OWN.generator("rows"), ActivationClusteringParams(**params))


def test_a_cluster_is_suspect_only_if_small_and_apart():
    seen = torch.randn(100, 5, dtype=torch.float64)
    seen[:30, 0] += 15
    assert suspected(seen).tolist() == [True] * 30 + [False] * 70
    for spared in ({"largest_share": 0.29}, {"silhouette": 0.95}):
        assert not suspected(seen, **spared).any()


@pytest.mark.parametrize("n", [10, 40])
def test_activations_that_are_all_alike_make_nobody_suspect(n):
    assert not suspected(torch.ones(n, 4).double()).any()


def test_classes_of_few_rows_or_none_are_left_alone():
    data = rows(60)
    data.y[:] = 0
    data.y[:9] = 1
    model = fits(1, data)
    removed = activation_clustering.small_clusters(model, data, OWN, params=ActivationClusteringParams(silhouette=-1))
    assert not (data.y[removed] == 1).any()
    spectral = spectral_signatures.outlying(model, data, params=SpectralSignaturesParams(share=0.5))
    assert torch.bincount(data.y[spectral]).tolist() == [25, 4]  # half of 51 and of 9, rounded down


@pytest.mark.parametrize("seed", [11, 12])
def test_poison_that_is_removed_is_poison(seed):
    """On a planted backdoor of one source class, what each removal drops is mostly, or wholly, poison."""
    train, test, val = planted.images(rows=400, seed=seed), rows(100, seed=2), rows(100, seed=3)
    game = planted.poisoned(partial(badnets.attack, params=BadnetsParams()), train, test, budget=20)
    found = outlier_removal.lowest(game.rows, val, params=OutlierRemovalParams(share=0.05))
    assert game.bad[found].float().mean() > 0.9
    model = fits(10, game.rows)
    dropped = activation_clustering.small_clusters(model, game.rows, OWN, params=ActivationClusteringParams())
    assert game.bad[dropped].float().mean() > 0.9
    assert len(dropped) >= 18
    target = (game.rows.y == 0).nonzero()[:, 0]
    top = spectral_signatures.outlying(model, game.rows, params=SpectralSignaturesParams(share=0.1))
    own = top[torch.isin(top, target)]
    assert game.bad[own].sum() >= 18


def test_whom_a_model_suspects_depends_on_its_place_alone_and_not_on_its_stack():
    """Activations in one cloud have no clusters: which half is small depends on the draws."""
    plain = planted.training(planted.IMAGES, epochs=1)
    params = ActivationClusteringParams(silhouette=-1, largest_share=0.499)
    defended = activation_clustering.train(plain, params, planted.context(rows(80)))
    sets, val = [rows(300, seed=seed) for seed in (4, 5)], rows(20)
    streams = [Streams(("place", place)) for place in range(2)]
    torch.manual_seed(1)
    together = defended.fit(defended, sets, [val] * 2, streams)[1]
    torch.manual_seed(2)
    (alone,) = defended.fit(defended, sets[1:], [val], streams[1:])
    assert together.evidence == alone.evidence
    assert alone.evidence["activation-clustering"].removed > 0
