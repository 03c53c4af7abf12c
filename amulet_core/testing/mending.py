"""What a component raised, as one line, and how to mend it."""

import re
from typing import Final

from pydantic import ValidationError

from amulet_core.errors import cause_of
from amulet_core.victims import NotOfferedError, WhiteBox, offered

_TYPED: Final = re.compile(r"(\w+) is torch\.(\w+) \[.*?\], expected torch\.(\w+) \[")
_INTO: Final = {"float64": ".double()", "float32": ".float()", "int64": ".long()", "bool": ".bool()"}


def mending(error: BaseException) -> str:
    """Return what to do about an exception, as a phrase without a full stop."""
    if isinstance(error, NotOfferedError):
        return "ask for what it offers, or name the access that is needed in the descriptor"
    if isinstance(error, AttributeError) and error.obj is None and error.name in offered(WhiteBox):
        return "name an access that gives the view a model in the descriptor (labels, probabilities or white-box)"
    if isinstance(error, ValidationError):
        return _valued(str(error))
    return "mend what is raised, or let applicable() say why it cannot work on such data"


def raised(error: BaseException) -> str:
    """Return an exception as one line; of a value that breaks its schema only what is wrong with it."""
    if not isinstance(error, ValidationError):
        return cause_of(error)
    places = [
        (".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")) for fault in error.errors()
    ]
    return f"{error.title}: {'; '.join(': '.join(filter(None, place)) for place in places)}"


def _valued(text: str) -> str:
    """Return how to mend a value that breaks its schema: its types first, then its numbers, then whatever it is."""
    typed = [(name, wanted) for name, given, wanted in _TYPED.findall(text) if given != wanted]
    if typed:
        return "convert: " + ", ".join(f"{name}{_INTO.get(wanted, f'.to(torch.{wanted})')}" for name, wanted in typed)
    if "that are not finite" in text or "a finite number" in text:
        return "keep it finite: no logarithm of 0, no division by 0, no mean of nothing"
    return "hand back the types and shapes that the game asks for"
