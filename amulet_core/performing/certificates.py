"""Certificates: asking the defenses that prove predictions right, once for each victim and seed."""

import copy
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from amulet_core.configuration.request import Use, defense_of
from amulet_core.games.evasion import CertificateQuestion
from amulet_core.performing.ground import Ground
from amulet_core.performing.outputs import CertifyOutput, FitOutput
from amulet_core.performing.recipes import blamed
from amulet_core.planning.jobs import CertifyWork


def certify(work: CertifyWork, inputs: Sequence[Any], ground: Ground) -> CertifyOutput:
    """Ask every certifying defense of the chain; a row counts where one of them proves it.

    Raises:
        ComponentError: blaming a defense that raised, or answered in another shape.
    """
    (fit,) = inputs
    assert isinstance(fit, FitOutput)
    draws = ("draws", work.root_seed, work.seed)
    test = ground.rows(ground.blocks[work.victim.block].test)
    game = import_module(work.risk.game.module)
    proofs = []
    for use in work.certifiers:
        model = copy.deepcopy(fit.fitted[work.victim].model).eval().requires_grad_(requires_grad=False)
        question = game.certifiable(model, test, work.risk.threat, draws)
        proofs.append(blamed(use.id, partial(_asked, use, question), (*draws, "certify")))
    return CertifyOutput(torch.stack(proofs).any(0))


def _asked(use: Use, question: CertificateQuestion) -> Tensor:
    answer = use.entry.load(defense_of(use).certify)(question, use.params)
    expected = [len(question.epsilons), len(question.y)]
    if not isinstance(answer, Tensor) or answer.dtype != torch.bool or list(answer.shape) != expected:
        found = f"{answer.dtype} {list(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise TypeError(f"its certificates are {found}, expected torch.bool [budgets, n] = {expected}")
    return answer
