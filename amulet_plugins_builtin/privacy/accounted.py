"""The tie between an account and what runs: a fit that refuses any training but the one that was accounted for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from amulet_core.data import Data
from amulet_core.training.values import Fit, Fitted, Streams, Training


def as_accounted(accounted: Training, *, whose: str, stopping: bool) -> Training:
    """Return ``accounted`` with a fit that looks at the training it is given, as later defenses left it.

    Objectives, parts, views and draws may be wrapped: clipping bounds whatever they make of a row. When fitting, it
    raises a ValueError on behalf of ``whose`` if sampler, gradient rule, epochs or batch size are others; the patience
    of early stopping too, but for ``stopping``: the account is then said to hold on condition of it.
    """

    def fit(training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]) -> list[Fitted]:
        changed = list(_changed(training, accounted, stopping=stopping))
        if changed:
            raise ValueError(
                f"{whose} accounts for another training than this: {'; '.join(changed)}. A defense after {whose} in "
                "the chain has changed that: leave one of them out"
            )
        return inner(training, rows, val, streams)

    inner: Fit = accounted.fit
    return replace(accounted, fit=fit)


def _changed(training: Training, accounted: Training, *, stopping: bool) -> Iterator[str]:
    for what, found, expected in (
        ("sampler", training.sampler, accounted.sampler),
        ("gradient rule", training.gradient, accounted.gradient),
        ("number of epochs", training.settings.epochs, accounted.settings.epochs),
        ("batch size", training.settings.batch_size, accounted.settings.batch_size),
    ):
        if found != expected:
            yield f"the {what} is {_told(found, expected)}, accounted: {_told(expected, found)}"
    patience, before = training.settings.patience, accounted.settings.patience
    if patience != before and not stopping:
        yield (
            f"the patience of early stopping, which looks at the validation rows, is {patience}, accounted: {before} "
            "(a chain with early-stopping may name it in conditional_on)"
        )


def _told(one: object, other: object) -> str:
    """Return a value as text: its type where that tells it from the other, else all of it."""
    return repr(one) if type(one) is type(other) else type(one).__name__
