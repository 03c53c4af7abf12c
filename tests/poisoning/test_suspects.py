"""Whom the defenses against poisoning suspect: planted poison, and nobody where there is nothing to tell."""

import copy
from dataclasses import replace
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
from amulet_plugins_builtin.catalogue.privacy import DpSgdParams
from amulet_plugins_builtin.poisoning import (
    activation_clustering,
    badnets,
    outlier_removal,
    planted,
    spectral_signatures,
)
from amulet_plugins_builtin.poisoning.removal import without_suspects_of
from amulet_plugins_builtin.privacy import dp_sgd


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


TWICE = {
    "activation-clustering": (activation_clustering, ActivationClusteringParams()),
    "spectral-signatures": (spectral_signatures, SpectralSignaturesParams()),
}


@pytest.mark.parametrize("name", TWICE)
def test_first_models_and_the_models_that_stay_share_no_draw(name):
    """Nor do two defenses in one chain: each first model has its place, its defense and its part in its key."""
    component, params = TWICE[name]
    plain, asked = planted.training(planted.IMAGES, epochs=1), []

    def noted(training, rows, val, streams):
        asked.append(streams)
        return plain.fit(training, rows, val, streams)

    defended = component.train(replace(plain, fit=noted), params, planted.context(rows(60)))
    defended.fit(defended, [rows(60)], [rows(20)], [OWN])
    (first,), (second,) = asked
    assert second == OWN
    assert first == Streams((*OWN.key, name, "first"))


def test_first_models_beside_dp_sgd_have_other_noise():
    """Nothing is removed, so the two models differ by their draws alone."""
    data, starts, firsts = rows(60), [], []
    plain = planted.training(planted.IMAGES, epochs=1)

    def build():
        starts.append(plain.parts["model"]())
        return copy.deepcopy(starts[-1])

    def nobody(model, _data, _streams):
        firsts.append(model)
        return torch.arange(0)

    settings = plain.settings.model_copy(update={"batch_size": 20})
    private = dp_sgd.train(
        replace(plain, parts={"model": build}, settings=settings),
        DpSgdParams(noise_multiplier=100.0),
        planted.context(data),
    )
    (one,) = without_suspects_of(private.fit, nobody, evidence="nobody")(private, [data], [data], [OWN])
    moved = [
        torch.cat([(weights(model)[name] - start).flatten() for name, start in weights(before).items()])
        for model, before in zip((*firsts, one.model), starts, strict=True)
    ]
    # The noise is nearly all that moves the weights, hundreds of them: shared noise has a correlation near 1.
    assert abs(float(torch.corrcoef(torch.stack(moved))[0, 1])) < 0.3


def weights(model):
    return {name: value.detach() for name, value in model.named_parameters()}
