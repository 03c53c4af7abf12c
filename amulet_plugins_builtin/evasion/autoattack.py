"""The sequence of AutoAttack (Croce & Hein, arXiv:2003.01690) on what survives, and its signs of masked gradients.

Adaptive descent on the cross-entropy, then on the targeted difference-of-logits ratio, then random search. The paper's
third attack, FAB, is left out: it looks for small changes by gradients, as the targeted descent beside it does.
"""

from typing import NamedTuple

import torch

from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_plugins_builtin.catalogue.evasion_attacks import AutoAttackParams
from amulet_plugins_builtin.evasion.apgd import Climb, apgd, likeliest
from amulet_plugins_builtin.evasion.found import Found, task_of, unchanged, white_box
from amulet_plugins_builtin.evasion.losses import ce, loss_named, without_gradients
from amulet_plugins_builtin.evasion.square import square
from amulet_plugins_builtin.evasion.suspicions import (
    black_box_wins,
    gradients_at_inference,
    more_steps_help,
    outputs_that_are_probabilities,
    random_outputs,
    zero_gradients,
)


class _Gain(NamedTuple):
    """How many rows random search, and then twice the steps, fooled beyond the rest at one budget."""

    epsilon: float
    black_box: int
    longer: int


def attack(view: EvasionView, params: AutoAttackParams) -> EvasionAnswer:
    """Attack every row at every budget, from the smallest on; each attack gets what withstood those before it.

    Last, a climb of twice the steps shows whether more of them would help; what it finds is kept too.

    Raises:
        TypeError: if the view's model gives no gradients.
    """
    logits = white_box(view, "autoattack").logits
    ask = without_gradients(logits)
    scores = ask(view.x)
    found = unchanged(ask, view.x, view.y)
    warnings = (
        *random_outputs(ask, view.x),
        *gradients_at_inference(logits, view.x),
        *outputs_that_are_probabilities(scores),
        *zero_gradients(logits, view, found, attack="autoattack", share=params.masked_share),
    )
    targets = likeliest(scores, view.y, count=params.targets)
    answers, gains = [], []
    for epsilon in view.epsilons:
        task = task_of(view, epsilon=epsilon)
        found = apgd(logits, task, found, climb=Climb(ce, params.steps), targets=view.y[:, None])
        aimed = loss_named("targeted-dlr", classes=len(view.data_schema.classes))
        found = by_gradients = apgd(logits, task, found, climb=Climb(aimed, params.steps), targets=targets)
        found = searched = square(ask, task, found, queries=params.queries, share=params.share)
        found = apgd(logits, task, found, climb=Climb(ce, 2 * params.steps), targets=view.y[:, None])
        gains.append(_Gain(epsilon, _more(searched, by_gradients), _more(found, searched)))
        answers.append(found.x)
    return EvasionAnswer(x=torch.stack(answers), warnings=warnings + _signs(gains, len(view.y), params))


def _more(after: Found, before: Found) -> int:
    return int(after.fooled.sum() - before.fooled.sum())


def _signs(gains: list[_Gain], rows: int, params: AutoAttackParams) -> tuple[str, ...]:
    """Return the warnings of the budgets where random search, and more steps, helped most."""
    black = max(gains, key=lambda gain: gain.black_box)
    longer = max(gains, key=lambda gain: gain.longer)
    share = params.tolerated_share
    return (
        *black_box_wins(black.black_box, rows, epsilon=black.epsilon, share=share),
        *more_steps_help(longer.longer, rows, epsilon=longer.epsilon, steps=params.steps, share=share),
    )
