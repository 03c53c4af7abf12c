"""Membership: a classifier of shadow models' answers, and the distance to the boundary by labels alone."""

import numpy as np
import torch
from amulet_core.games.membership import MembershipAnswer, MembershipView
from amulet_core.victims import LabelOracle
from art.attacks.inference.membership_inference import MembershipInferenceBlackBox
from art.estimators.classification import BlackBoxClassifier
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from amulet_plugin_art import searches
from amulet_plugin_art.asked import Asked, units_of
from amulet_plugin_art.settings import BoundaryDistanceParams, ShadowClassifierParams


def shadow_classifier(view: MembershipView, params: ShadowClassifierParams) -> MembershipAnswer:
    """Score each candidate by a classifier that learned members of shadow models from others (arXiv:1610.05820).

    It is shown a model's probabilities and the true label; the score is its probability of "member". It learns from as
    many members as others, drawn among all answers of all shadow models.
    """
    classes, models = len(view.data_schema.classes), len(view.lab.members)
    answers, member = view.lab.candidates.exp().flatten(0, 1), view.lab.members.flatten()
    label = view.y.repeat(models)
    inside, outside = _drawn(member, each=params.rows // 2)
    attack = MembershipInferenceBlackBox(_nobody(classes), attack_model_type=params.classifier)
    attack.fit(
        pred=answers[inside].numpy(),
        y=_one_hot(label[inside], classes),
        test_pred=answers[outside].numpy(),
        test_y=_one_hot(label[outside], classes),
    )
    told = attack.infer(None, _one_hot(view.y, classes), pred=view.observed.exp().numpy(), probabilities=True)
    return MembershipAnswer(score=torch.from_numpy(told[:, 0]).double())


def boundary_distance(view: MembershipView, params: BoundaryDistanceParams) -> MembershipAnswer:
    """Score each candidate by its distance to the decision boundary in L2, 0 where it is misclassified.

    HopSkipJump finds the distances, by labels alone, all features free (Choquette-Choo et al., arXiv:2007.14321,
    section 3.3; Li and Zhang, arXiv:2007.15528, section 4). What no input was found to fool lies farthest.

    Raises:
        TypeError: if the view has no model to ask.
    """
    model = view.model
    if not isinstance(model, LabelOracle):
        raise TypeError(f"art/boundary-distance asks for labels, and the view has {type(model).__name__}")
    classes, units = len(view.data_schema.classes), units_of(view.data_schema, "l2")
    origins, own = units.of(view.x), units.of(view.population_x)
    free, told = np.ones(units.shape, dtype=np.bool_), model.labels(view.population_x)

    def ask(x: Tensor) -> Tensor:
        return one_hot(model.labels(x), classes).float()

    distance = torch.zeros(len(view.y), dtype=torch.float64)
    for row in (model.labels(view.x) == view.y).nonzero()[:, 0].tolist():
        label = int(view.y[row])
        asked = Asked(ask, units, origins[row], label=label, free=free, queries=params.queries)
        others = own[(told != label).numpy()][: params.starts]
        searches.hop_skip_jump(asked, params, others=others, classes=classes)
        distance[row] = asked.distance
    # No two unit inputs lie farther apart.
    return MembershipAnswer(score=distance.clamp_max(float(view.data_schema.width) ** 0.5))


def _drawn(member: Tensor, *, each: int) -> tuple[Tensor, Tensor]:
    """Return the positions of equally many members and others, at most ``each`` of them."""
    inside, outside = (part[torch.randperm(len(part))] for part in (member.nonzero()[:, 0], (~member).nonzero()[:, 0]))
    count = min(each, len(inside), len(outside))
    return inside[:count], outside[:count]


def _one_hot(y: Tensor, classes: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = one_hot(y, classes).float().numpy()
    return found


def _nobody(classes: int) -> BlackBoxClassifier:
    """Return a victim that cannot be asked: all that the attack needs of it was told before."""

    def refuse(x: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ARG001 - whatever is asked
        raise ValueError("the answers of the victim are part of the view")

    return BlackBoxClassifier(refuse, (1,), classes)
