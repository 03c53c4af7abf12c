"""Performing privacy audits: the rows that coins put among the training rows, and the guesses about them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from amulet_core.configuration.request import attack_of, defense_of
from amulet_core.data import Data
from amulet_core.games import audit as game
from amulet_core.games.audit_threat import AuditThreat
from amulet_core.games.contest import Bank, Contest
from amulet_core.performing.ground import Ground
from amulet_core.performing.measuring import measured_play
from amulet_core.performing.outputs import FitOutput, PlayOutput
from amulet_core.performing.recipes import blamed, deployed, evidence_json
from amulet_core.planning.jobs import AuditPlayWork
from amulet_core.planning.layout import Place
from amulet_core.streams import generator, isolated
from amulet_core.training.values import Fitted


@dataclass(frozen=True)
class Canaries:
    """Audit rows in random order, and which of them are trained on: an independent fair coin each."""

    rows: Data
    included: Tensor


def canaries(ground: Ground, place: Place, threat: AuditThreat) -> Canaries:
    """Draw a place's audit rows from the half of the pool that it does not train on, and toss their coins."""
    pool = ground.blocks[place.block].pool
    others = pool[~ground.members[place.block][place.index]]
    key = ("audit", ground.root_seed, *place.key)
    order = torch.randperm(len(others), generator=generator(*key, "rows"))
    rows = ground.rows(others[order[: threat.canaries]])
    if threat.labels == "wrong":
        classes = len(rows.schema.classes)
        step = torch.randint(1, classes, (len(rows),), generator=generator(*key, "labels"))
        rows = replace(rows, y=(rows.y + step) % classes)
    coins = torch.randint(2, (len(rows),), generator=generator(*key, "coins"))
    return Canaries(rows, coins.bool())


def audited_rows(ground: Ground, place: Place, threat: AuditThreat) -> Data:
    """Return what the recipe is handed: the place's training rows, and the audit rows whose coins say so.

    Half as many training rows as there are audit rows give way to them, so that the model is trained on about as many
    rows as the victim. None is replaced by another: neighbours under the account differ by one row more or less.
    """
    own, planted = ground.training_rows(place), canaries(ground, place, threat)
    order = torch.randperm(len(own), generator=generator("audit", ground.root_seed, *place.key, "kept"))
    kept = own.take(order[threat.canaries // 2 :].sort().values)
    added = planted.rows.take(planted.included)
    x, y, z, w, ids = (torch.cat([getattr(kept, name), getattr(added, name)]) for name in ("x", "y", "z", "w", "id"))
    return replace(kept, x=x, y=y, z=z, w=w, id=ids)


def audit_play(work: AuditPlayWork, inputs: Sequence[Any], ground: Ground) -> PlayOutput:
    """Have an attack score the audit rows, guess, and compare with what the defense claims of this very model.

    Raises:
        ComponentError: blaming the attack, the metric or the defense at fault.
    """
    (fit,) = inputs
    assert isinstance(fit, FitOutput)
    fitted, use = fit.fitted[work.victim], work.attack
    threat = cast("AuditThreat", work.risk.threat)
    draws = ("draws", work.root_seed, work.seed, "audit")
    accountant = next(use for use in work.recipe.chain if defense_of(use).accounts_privacy)
    claim = blamed(accountant.id, partial(_claim, fitted), draws)
    contest = _contest(work, fitted, ground)
    with isolated(*draws, "view"):
        view = game.view(contest, threat, attack_of(use).access)
    answer = blamed(use.id, lambda: use.entry.load()(view, use.params), draws)
    attacks = sum(not attack_of(one).control for one in work.risk.attacks)
    judge = partial(game.judge, contest, answer, threat, claim=claim, audits=work.audits, attacks=max(1, attacks))
    # The evidence of this model is no evidence of the victim, which stands beside the row's results.
    return measured_play(work.risk, blamed(use.id, judge, draws), draws)


def _claim(fitted: Fitted) -> game.Claim:
    return game.claimed(evidence_json(fitted.evidence))


def _contest(work: AuditPlayWork, fitted: Fitted, ground: Ground) -> Contest:
    block = ground.blocks[work.victim.block]
    planted = canaries(ground, work.victim, cast("AuditThreat", work.risk.threat))
    n, classes = len(planted.rows), len(planted.rows.schema.classes)
    none = Bank(
        pool=torch.zeros(0, n, classes),
        members=torch.zeros(0, n, dtype=torch.bool),
        population=torch.zeros(0, len(block.aux), classes),
        adaptive=True,
    )
    return Contest(
        model=deployed(work.recipe, fitted.model),
        beneath=fitted.model,
        pool=planted.rows,
        member=planted.included,
        test=ground.rows(block.test),
        aux=ground.rows(block.aux),
        bank=none,
        draws=("draws", work.root_seed, work.seed, "audit"),
    )
