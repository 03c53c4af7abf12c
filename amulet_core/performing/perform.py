"""Performing jobs: training, asking models, playing games, measuring."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, Final

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from amulet_core.configuration.request import attack_of
from amulet_core.data import Data
from amulet_core.errors import ComponentError
from amulet_core.games.contest import Bank, Contest
from amulet_core.performing.audits import audit_play, audited_rows
from amulet_core.performing.certificates import certify
from amulet_core.performing.ground import Ground
from amulet_core.performing.measuring import measured_play
from amulet_core.performing.outputs import BankOutput, CertifyOutput, FitOutput, PlayOutput
from amulet_core.performing.ownership import independent, theft, theft_play, verification_play
from amulet_core.performing.poisoning import poison, poisoned_play, poisoned_rows
from amulet_core.performing.populations import distribution_play
from amulet_core.performing.recipes import blamed, deployed, fit_recipe, maker_of
from amulet_core.planning.jobs import (
    AttackWork,
    AuditPlayWork,
    BankWork,
    CertifyWork,
    DistributionPlayWork,
    FitWork,
    IndependentWork,
    Job,
    PoisonedPlayWork,
    PoisonWork,
    TheftPlayWork,
    TheftWork,
    VerificationPlayWork,
    Work,
    WorstWork,
)
from amulet_core.planning.layout import Place
from amulet_core.streams import isolated
from amulet_core.training.values import Streams
from amulet_core.victims import ModelOutputError, logits_of


def perform(job: Job, inputs: Sequence[Any], ground: Ground, *, threads: int) -> Any:
    """Do a job's work on the outputs of what it needs, with a fixed number of threads.

    Raises:
        ComponentError: blaming the component at fault.
    """
    with _limited(threads):
        try:
            return _PERFORMED[type(job.work)](job.work, inputs, ground)
        except ModelOutputError as error:
            recipe = getattr(job.work, "recipe", None)
            blame = maker_of(recipe) if recipe else "amulet"
            raise ComponentError(blame, error) from error


@contextmanager
def _limited(threads: int) -> Iterator[None]:
    """Let torch, and the thread pools of numpy, scipy and scikit-learn, use this many threads; put all back."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with _pools(len(sys.modules)).limit(limits=threads):
            yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _pools(_modules: int) -> ThreadpoolController:
    """Find the thread pools of this process: again only when modules were imported, as it takes some milliseconds."""
    return ThreadpoolController()


def _fit(work: FitWork, inputs: Sequence[Any], ground: Ground) -> FitOutput:
    streams = [_streams(work, place) for place in work.places]
    rows = [_rows(work, place, ground) for place in work.places]
    if work.poisoned:
        rows = poisoned_rows(dict(zip(work.places, rows, strict=True)), inputs)
    val = [ground.rows(ground.blocks[place.block].val) for place in work.places]
    fitted = fit_recipe(work.recipe, rows, val, streams)
    return FitOutput(dict(zip(work.places, fitted, strict=True)))


def _streams(work: FitWork | AttackWork, place: Place) -> Streams:
    return Streams(("train", work.root_seed, *(("placebo",) if work.placebo else ()), *place.key))


def _rows(work: FitWork, place: Place, ground: Ground) -> Data:
    return audited_rows(ground, place, work.audited) if work.audited else ground.training_rows(place)


def _bank(work: BankWork, inputs: Sequence[Any], ground: Ground) -> BankOutput:
    (fit,) = inputs
    logits = {}
    for place, fitted in fit.fitted.items():
        block, model = ground.blocks[place.block], deployed(work.recipe, fitted.model)
        with isolated("bank", place.block, place.index):
            logits[place] = (logits_of(model, ground.rows(block.pool).x), logits_of(model, ground.rows(block.aux).x))
    return BankOutput(logits)


def _attack(work: AttackWork, inputs: Sequence[Any], ground: Ground) -> PlayOutput:
    contest = _contest(work, inputs, ground)
    game = import_module(work.risk.game.module)
    draws = (*contest.draws, work.risk.game.risk)
    if work.attack is None:
        with isolated(*draws, "behave"):
            result = game.behave(contest, work.risk.threat)
    else:
        use = work.attack
        with isolated(*draws, "view"):
            view = game.view(contest, work.risk.threat, attack_of(use).access)
        answer = blamed(use.id, lambda: use.entry.load()(view, use.params), draws)
        result = blamed(use.id, partial(game.judge, contest, answer, work.risk.threat), draws)
        controls = [output.result for output in inputs if isinstance(output, PlayOutput)]
        result = game.beside(result, controls) if controls else result
    played = measured_play(work.risk, result, draws)
    return replace(played, evidence=_evidence(work, inputs))


def _evidence(work: AttackWork, inputs: Sequence[Any]) -> Mapping[str, Any]:
    """Return the evidence of the victim, which stands beside its results; of one that nobody saw there is none."""
    if work.attack is not None and attack_of(work.attack).access == "none":
        return {}  # the play may stand for the same one on other rows
    fits = (output.fitted for output in inputs if isinstance(output, FitOutput))
    return next(fitted[work.victim].evidence for fitted in fits if work.victim in fitted)


def _worst(work: WorstWork, inputs: Sequence[Any], _ground: Ground) -> PlayOutput:
    game = import_module(work.risk.game.module)
    joined = game.worst([played.result for played in inputs])
    return measured_play(work.risk, joined, ("draws", work.root_seed, work.seed))


def _contest(work: AttackWork, inputs: Sequence[Any], ground: Ground) -> Contest:
    fits = {
        place: fitted for output in inputs if isinstance(output, FitOutput) for place, fitted in output.fitted.items()
    }
    banks = {
        place: logits for output in inputs if isinstance(output, BankOutput) for place, logits in output.logits.items()
    }
    block = ground.blocks[work.victim.block]
    members = ground.members[work.victim.block]
    victim = fits[work.victim].model
    return Contest(
        model=deployed(work.recipe, victim),
        beneath=victim,
        pool=ground.rows(block.pool),
        member=members[work.victim.index],
        test=ground.rows(block.test),
        aux=ground.rows(block.aux),
        bank=_bank_of(work, banks, members, ground.data, (len(block.pool), len(block.aux))),
        draws=("draws", work.root_seed, work.seed),
        certified=next((output.certified for output in inputs if isinstance(output, CertifyOutput)), None),
        recipe=work.recipe,
        streams=_streams(work, work.victim),
        reconstructs=attack_of(work.attack).reconstructs if work.attack else None,
        puts_in=work.attack is not None and attack_of(work.attack).sensitive_in_x,
    )


def _bank_of(
    work: AttackWork, banks: Mapping[Place, tuple[Tensor, Tensor]], members: Tensor, data: Data, sizes: tuple[int, int]
) -> Bank:
    classes = len(data.schema.classes)
    if not work.shadows:
        pool, aux = sizes
        nothing = torch.zeros(0, pool, dtype=torch.bool)
        return Bank(torch.zeros(0, pool, classes), nothing, torch.zeros(0, aux, classes), work.adaptive)
    return Bank(
        pool=torch.stack([banks[place][0] for place in work.shadows]),
        members=members[torch.tensor([place.index for place in work.shadows])],
        population=torch.stack([banks[place][1] for place in work.shadows]),
        adaptive=work.adaptive,
    )


_PERFORMED: Final[Mapping[type[Work], Callable[[Any, Sequence[Any], Ground], Any]]] = {
    FitWork: _fit,
    BankWork: _bank,
    CertifyWork: certify,
    AttackWork: _attack,
    PoisonWork: poison,
    PoisonedPlayWork: poisoned_play,
    TheftWork: theft,
    TheftPlayWork: theft_play,
    IndependentWork: independent,
    VerificationPlayWork: verification_play,
    DistributionPlayWork: distribution_play,
    AuditPlayWork: audit_play,
    WorstWork: _worst,
}
"""How each kind of work is done."""
