"""Rounds of attacks against planted victims: what came of a call, and the rows it asked about, wherever they went."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import nn

from amulet_core.testing.manners import Trial, working
from amulet_core.testing.watching import Watched, watch


@dataclass(frozen=True)
class Round:
    """One play: the adversary's view, what came of it, and how many rows the victim was asked about.

    ``asked`` rows went through the view's model, of which it ``counted`` some; ``behind`` went past the view, through
    the victim itself.
    """

    view: Any
    watched: Watched
    asked: int
    counted: int
    behind: int


class Tried(Protocol):
    """A planted victim that an attack is tried on."""

    @property
    def trial(self) -> Trial:
        """Return the trial."""


T = TypeVar("T", bound=Tried)


def trials_of(bouts: Callable[[], list[T]]) -> list[Trial]:
    """Return the trial of each bout."""
    return [bout.trial for bout in bouts()]


def usable(bouts: Callable[[], list[T]]) -> list[T]:
    """Return the bouts that were not refused; errors as ``manners.working``."""
    kept = working(lambda: trials_of(bouts))
    return [bout for bout in bouts() if bout.trial in kept]


def played(
    call: Callable[[], Any], *, victim: nn.Module, view: Any, key: str, rows: Mapping[str, Any] | None = None
) -> Round:
    """Call an attack on a view of ``victim``, and count the rows that go through either; ``rows`` are watched, too."""
    oracle, through, past = view.model, _Meter(), _Meter()
    hooks = [victim.register_forward_pre_hook(past.count)]
    things = {"the victim": victim, "the view": view, **(rows or {})}
    if oracle is not None:
        copied = oracle._model
        hooks.append(copied.register_forward_pre_hook(through.count))
        things["the victim's copy in the view"] = copied
    watched = watch(call, key=("conformance", key), things=things)
    for hook in hooks:
        hook.remove()
    counted = 0 if oracle is None else oracle.queries
    return Round(view, watched, asked=through.rows, counted=counted, behind=past.rows)


class _Meter:
    """Counts the rows that go through a module."""

    def __init__(self) -> None:
        self.rows = 0

    def count(self, module: nn.Module, given: tuple[Any, ...]) -> None:  # noqa: ARG002 - every hook is called so
        self.rows += len(given[0])
