"""Performing the jobs of the poisoning game: the attack on the training rows, and the comparison of the two victims."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from amulet_core.data import Data
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningResult, accept, asked, replaced, target_index, view
from amulet_core.games.threats import PoisoningThreat
from amulet_core.performing.ground import Ground
from amulet_core.performing.measuring import measured_play
from amulet_core.performing.outputs import FitOutput, PlayOutput, PoisonOutput
from amulet_core.performing.recipes import blamed, deployed
from amulet_core.planning.jobs import PoisonedPlayWork, PoisonWork
from amulet_core.planning.layout import Place
from amulet_core.streams import isolated
from amulet_core.victims import logits_of


def poison(work: PoisonWork, _inputs: Sequence[Any], ground: Ground) -> PoisonOutput:
    """Have the attack replace rows; its draws depend on the seed alone, not on any defense.

    Raises:
        ComponentError: blaming the attack, if it raises or breaks the rules of the game.
    """
    threat, use = _threat(work.risk.threat), work.attack
    draws = ("draws", work.root_seed, work.seed)
    train, test = ground.training_rows(work.place), ground.rows(ground.blocks[work.place.block].test)
    seen = view(train, test, threat, draws)

    def call() -> PoisoningAnswer:
        answer = use.entry.load()(seen, use.params)
        if not isinstance(answer, PoisoningAnswer):
            raise TypeError(f"it returned {type(answer).__name__}, expected a PoisoningAnswer")
        return accept(train, seen, answer)

    return PoisonOutput(work.place, blamed(use.id, call, (*draws, "poisoning")))


def poisoned_rows(rows: Mapping[Place, Data], inputs: Sequence[Any]) -> list[Data]:
    """Return the training rows of every place as the adversary left them."""
    answers = {given.place: given.answer for given in inputs if isinstance(given, PoisonOutput)}
    return [replaced(own, answers[place]) for place, own in rows.items()]


def poisoned_play(work: PoisonedPlayWork, inputs: Sequence[Any], ground: Ground) -> PlayOutput:
    """Ask the poisoned and the clean victim about the same test rows, with and without the trigger; measure.

    Raises:
        ComponentError: blaming the metric or the defense at fault.
    """
    given, *fits = inputs
    poisoned, clean = fits[0], fits[-1]  # one and the same where nothing may be poisoned
    assert isinstance(given, PoisonOutput)
    assert isinstance(poisoned, FitOutput)
    threat, answer = _threat(work.risk.threat), given.answer
    draws = ("draws", work.root_seed, work.seed)
    test = asked(ground.rows(ground.blocks[work.victim.block].test), threat, draws)
    train = ground.training_rows(work.victim)
    triggers = answer.triggered if answer.has_trigger else test.x
    changed = (triggers != test.x).flatten(1).any(1)
    victims = [deployed(work.recipe, output.fitted[work.victim].model) for output in (poisoned, clean)]
    with isolated(*draws, "poisoning", "judge"):
        plain, triggered, clean_plain, clean_triggered = (
            _predicted(model, x) for model in victims for x in (test.x, triggers)
        )
    result = PoisoningResult(
        y=test.y,
        target=target_index(test.schema, threat.target),
        plain=plain,
        triggered=triggered,
        clean_plain=clean_plain,
        clean_triggered=clean_triggered,
        changed=changed,
        poisoned=len(answer.rows),
        rows=len(train),
        classes=test.schema.classes,
        has_trigger=answer.has_trigger,
        targeted=answer.targeted,
        source=answer.source,
        warnings=(*answer.warnings, *(_void(changed) if answer.has_trigger else ())),
    )
    played = measured_play(work.risk, result, (*draws, "poisoning"))
    # What stands beside the row's results is of the victim that all its games share: not of the poisoned one.
    return replace(played, evidence=clean.fitted[work.victim].evidence)


def _void(changed: Tensor) -> tuple[str, ...]:
    """Warn of a trigger that is none: whatever it seems to do, it does nothing."""
    if changed.any():
        return ()
    return (f"the trigger changes none of the {len(changed)} test inputs: no success rate can show a backdoor",)


def _predicted(model: nn.Module, x: Tensor) -> Tensor:
    return logits_of(model, x).argmax(1)


def _threat(threat: Any) -> PoisoningThreat:
    assert isinstance(threat, PoisoningThreat)
    return threat
