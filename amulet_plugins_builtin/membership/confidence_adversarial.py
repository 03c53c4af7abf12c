"""The two inferences of robust training's privacy risk: confidence on the rows, or on their adversarial examples."""

import torch
from torch import Tensor

from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_core.training.values import Batch, Call
from amulet_core.victims import WhiteBox
from amulet_plugins_builtin.catalogue.evasion import AdversarialTrainingParams
from amulet_plugins_builtin.catalogue.membership_attacks import ConfidenceAdversarialParams
from amulet_plugins_builtin.evasion.adversarial_training import START, worst_neighbour
from amulet_plugins_builtin.evasion.losses import rows_at_once, without_gradients
from amulet_plugins_builtin.membership.confidence import logit_confidence
from amulet_plugins_builtin.membership.shadows import first_models
from amulet_plugins_builtin.membership.thresholds import on_own_rows, on_shadow_models


def attack(view: MembershipView, params: ConfidenceAdversarialParams) -> MembershipAnswer:
    """Score each candidate by the log-odds of its true label, at the row itself or at its adversarial example.

    ``inputs`` chooses I_B (on the released probabilities) or I_A of 1905.10291 (section on inference with adversarial
    examples; untargeted PGD on the white box, within ``epsilon``). Class thresholds are subtracted from the scores, and
    the threshold is then 0. No ``oracle`` threshold is handed back: it is not fixed beforehand.

    Raises:
        TypeError: if adversarial examples are asked for and the view's model gives no gradients.
        ValueError: if the thresholds need shadow models that the lab has not, or rows that the adversary has not.
    """
    score = _confidence(view, params, own=False)
    if params.threshold == "oracle":
        return MembershipAnswer(score=score)
    on_lab = params.inputs == "benign" and params.threshold != "population"
    thresholds = _lab_thresholds(view, params) if on_lab else _own_thresholds(view, params)
    if params.threshold == "class":
        return MembershipAnswer(score=score - thresholds[view.y], threshold=0.0)
    return MembershipAnswer(score=score, threshold=float(thresholds[0]))


def _confidence(view: MembershipView, params: ConfidenceAdversarialParams, *, own: bool) -> Tensor:
    """Return the log-odds of the true label of the adversary's ``own`` rows, or of the candidates, float64 ``[n]``."""
    x, y = (view.population_x, view.population_y) if own else (view.x, view.y)
    if params.inputs == "adversarial":
        return adversarial_confidence(view, x, y, params)
    return logit_confidence(view.observed_population if own else view.observed, y)


def adversarial_confidence(view: MembershipView, x: Tensor, y: Tensor, params: ConfidenceAdversarialParams) -> Tensor:
    """Return the log-odds of the true label at the adversarial example of each row ``x [n, ...]``, float64 ``[n]``.

    The climb starts at the row itself, so that it needs no draws.
    """
    if not isinstance(view.model, WhiteBox):
        raise TypeError("confidence-adversarial follows gradients: it needs a white-box view of its victim")
    search = AdversarialTrainingParams(
        norm=params.norm, epsilon=params.epsilon, steps=params.steps, relative_step=params.relative_step
    )
    worst, logits = worst_neighbour(search, view.data_schema), _plain(view.model)
    size = rows_at_once(x)
    changed = [worst(logits, _batch(*part)) for part in zip(x.split(size), y.split(size), strict=True)]
    found = torch.cat(changed) if changed else x
    return logit_confidence(torch.log_softmax(without_gradients(view.model.logits)(found).double(), 1), y)


def _plain(model: WhiteBox) -> Call:
    def call(x: Tensor, part: str = "model") -> Tensor:  # noqa: ARG001 (a victim is one network)
        return model.logits(x)

    return call


def _batch(x: Tensor, y: Tensor) -> Batch:
    nothing = torch.zeros(len(x), 0, dtype=torch.int64)
    return Batch(x, y, nothing, torch.ones(len(x)), {START.name: torch.zeros_like(x)})


def _lab_thresholds(view: MembershipView, params: ConfidenceAdversarialParams) -> Tensor:
    lab = first_models(view.lab, models=params.shadow_models, attack="confidence-adversarial", sides=())
    classes = len(view.data_schema.classes)
    if params.threshold == "shadow":
        return on_shadow_models(
            logit_confidence(lab.candidates, view.y), lab.members, torch.zeros_like(view.y), classes=1
        )
    return on_shadow_models(logit_confidence(lab.candidates, view.y), lab.members, view.y, classes=classes)


def _own_thresholds(view: MembershipView, params: ConfidenceAdversarialParams) -> Tensor:
    """Return the thresholds from the adversary's own rows."""
    if not len(view.population_y):
        raise ValueError(
            "confidence-adversarial: the adversary has no rows of its own to fix a threshold on: raise population, "
            "or set threshold to oracle"
        )
    score = _confidence(view, params, own=True)
    by_class = params.threshold == "class"
    y = view.population_y if by_class else torch.zeros_like(view.population_y)
    classes = len(view.data_schema.classes) if by_class else 1
    return on_own_rows(score, y, classes=classes, rate=params.false_positive_rate)
