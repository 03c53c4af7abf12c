"""Conformance of an ownership defense's verification: a score for each suspect, whoever else is suspected."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amulet_core.configuration.request import Use, defense_of
from amulet_core.games.verification import VerificationAnswer, VerificationView, accept
from amulet_core.performing.recipes import evidence_json
from amulet_core.testing import stages
from amulet_core.testing.findings import ConformanceError, NotCheckedError
from amulet_core.testing.manners import Trial, trial
from amulet_core.testing.toys import Toy, task_rows
from amulet_core.testing.watching import Watched, watch
from amulet_core.training.values import Fitted
from amulet_core.victims import LabelOracle, WhiteBox, with_access

SCORES = "its verification scores every suspect"


@dataclass(frozen=True)
class Verified:
    """A verification on one toy: ``view(places)`` has the suspects at these places (0 is the owner's own model)."""

    trial: Trial
    view: Callable[[Sequence[int]], VerificationView]
    verify: Callable[[VerificationView], VerificationAnswer]
    suspects: int


def verified(use: Use, toy: Toy, fitted: Sequence[Fitted], *, val: int) -> Verified:
    """Return the verification of the owner of the first model, who suspects all of them, to be tried."""
    component, own = defense_of(use), fitted[0]

    def verify(view: VerificationView) -> VerificationAnswer:
        answer: VerificationAnswer = use.entry.load(component.verify or component.target)(view, use.params)
        return answer

    def view(places: Sequence[int]) -> VerificationView:
        rows = task_rows(toy, rows=stages.ROWS, key=("train", 0))
        held = task_rows(toy, rows=val, key=("val", 0))
        seen = (with_access(fitted[place].model, component.verify_access) for place in places)
        return VerificationView(
            suspects=tuple(one for one in seen if isinstance(one, LabelOracle)),
            evidence=evidence_json(own.evidence),
            proof={name: value.clone() for name, value in own.proof.items()},
            model=WhiteBox(own.model),
            x=rows.x,
            y=rows.y,
            val_x=held.x,
            val_y=held.y,
            data_schema=toy.schema,
        )

    def prepared() -> tuple[Callable[[], VerificationAnswer], dict[str, VerificationView]]:
        every = view(range(len(fitted)))
        return lambda: verify(every), {"the view": every}

    return Verified(trial(f"{toy.label}, verification", prepared), view, verify, len(fitted))


def scores_all(verifications: Sequence[Verified]) -> None:
    """Check that a verification gives a proper answer."""
    for one in verifications:
        try:
            _answer(one)
        except (TypeError, ValueError) as error:
            raise ConformanceError(
                found=f"on {one.trial.label}: {error}",
                expected="a VerificationAnswer with one score for each suspect, and p-values within 0 .. 1 if any",
                fix="return VerificationAnswer(score=...), float64, in the order of view.suspects",
            ) from error


def scores_alone(verifications: Sequence[Verified]) -> None:
    """Check that a suspect's score is the same without the others."""
    for one in verifications:
        together = _known(one)
        for place in range(one.suspects):
            alone = _alone(one, place)
            beside = _said(together, place)
            found = f"{alone.error!r}" if alone.error is not None else _said(alone.value, 0)
            if found != beside:
                raise ConformanceError(
                    found=f"on {one.trial.label} suspect {place + 1} gets {beside} beside others and {found} alone",
                    expected="the same bits",
                    fix="draw what is random once, before any suspect is looked at, and compare with no other suspect",
                )


def _alone(one: Verified, place: int) -> Watched:
    """Return the verification of one suspect, under the key of the first run of all."""
    view = one.view([place])
    return watch(lambda: one.verify(view), key=("conformance", "a key"), things={})


def _said(answer: VerificationAnswer, place: int) -> str:
    p = "" if answer.p is None else f" and p {float(answer.p[place])!r}"
    return f"score {float(answer.score[place])!r}{p}"


def _answer(one: Verified) -> VerificationAnswer:
    answer = one.trial.first.value
    if not isinstance(answer, VerificationAnswer):
        raise TypeError(f"it returned {type(answer).__name__}")
    return accept(one.view(range(one.suspects)), answer)


def _known(one: Verified) -> VerificationAnswer:
    try:
        return _answer(one)
    except (TypeError, ValueError) as error:
        raise NotCheckedError(f'not checked, because "{SCORES}" fails') from error
