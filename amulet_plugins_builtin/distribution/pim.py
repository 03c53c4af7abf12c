"""Permutation-invariant meta-classifier: tells from a network's weights which rows it was trained on.

Neurons of a hidden layer can change places, with their weights, without changing the network. So each layer is read as
a set of neurons (Ganju et al., CCS 2018, section 4.3; Zaheer et al., arXiv:1703.06114).
"""

from collections.abc import Sequence
from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from amulet_core.games.distribution import DistributionAnswer, DistributionView, Seen
from amulet_core.victims import WhiteBox
from amulet_plugins_builtin.catalogue.distribution import PimParams
from amulet_plugins_builtin.distribution.layers import Layer, layers_of, standardised


class MetaClassifier(nn.Module):
    """Features of neurons from their weights and the features of the neurons before; layers as means of neurons.

    The neurons of the last layer are the classes, which have an order: their features stand side by side.
    """

    def __init__(self, layers: Sequence[Layer], width: int) -> None:
        """Make the networks for such layers; ``width`` is that of every hidden layer and of a neuron's features."""
        super().__init__()
        before = [1, *(width for _ in layers[1:])]
        sizes = [layer.weight.shape[-1] * inner + 1 for layer, inner in zip(layers, before, strict=True)]
        self.neurons = nn.ModuleList(
            nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()) for size in sizes
        )
        last = layers[-1].weight.shape[1]
        self.verdict = nn.Sequential(nn.Linear(width * (len(layers) - 1 + last), width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, layers: Sequence[Layer]) -> Tensor:
        """Return a logit for each network ``[models]``, higher for the second hypothesis."""
        features = torch.ones(len(layers[0].weight), 1, 1)
        read = []
        for network, layer in zip(self.neurons, layers, strict=True):
            met = torch.einsum("moik,mid->mokd", layer.weight, features).flatten(2) / sqrt(layer.weight.shape[2])
            features = network(torch.cat([met, layer.bias[..., None]], 2))
            read.append(features.mean(1))
        logit: Tensor = self.verdict(torch.cat([*read[:-1], features.flatten(1)], 1))
        return logit.squeeze(1)


def attack(view: DistributionView, params: PimParams) -> DistributionAnswer:
    """Train the meta-classifier on the adversary's own models, and score each victim by its logit; the threshold is 0.

    Raises:
        ValueError: if a model is no chain of affine layers and convolutions.
    """
    own = [layers_of(_module(model)) for model in view.models]
    stacked = [Layer(*(torch.stack(parts) for parts in zip(*same, strict=True))) for same in zip(*own, strict=True)]
    classifier = trained(standardised(stacked, stacked), view.second, params)
    with torch.no_grad():
        # One victim at a time: its score is the same whoever is scored beside it, to the last bit.
        scores = [
            classifier(standardised([Layer(one.weight[None], one.bias[None]) for one in layers], stacked))
            for layers in (layers_of(_module(victim)) for victim in view.victims)
        ]
    return DistributionAnswer(score=torch.cat(scores).double(), threshold=0.0)


def trained(layers: Sequence[Layer], second: Tensor, params: PimParams) -> MetaClassifier:
    """Return a meta-classifier trained on networks ``layers`` of which the hypotheses are known, bool ``[models]``."""
    classifier = MetaClassifier(layers, params.width)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay)
    for _ in range(params.epochs):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(classifier(layers), second.float()).backward()
        optimizer.step()
    return classifier.eval()


def _module(model: Seen) -> nn.Module:
    return cast("WhiteBox", model).module
