"""The error of a wrong request, which carries every problem found, and the error of a component that is at fault."""

from collections.abc import Iterable


class RequestError(ValueError):
    """What was asked for cannot be done; nothing was run. Its text is all ``problems``, one per line."""

    def __init__(self, *problems: str) -> None:
        """Carry ``problems``: each says what is wrong, whose it is, and what to do next."""
        super().__init__(*problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems, in the order in which they were found."""
        return self.args

    def __str__(self) -> str:
        """Return all problems, one per line."""
        return "\n".join(self.problems)


class UnwrittenError(RequestError):
    """A run was done, and its results could not be written."""


class ComponentError(RuntimeError):
    """A component raised, or handed back what it must not; ``blame`` is its id."""

    def __init__(self, blame: str, cause: BaseException) -> None:
        """Blame a component for ``cause``."""
        super().__init__(f"{blame}: {type(cause).__name__}: {cause}")
        self.blame, self.cause = blame, cause


def cause_of(error: BaseException) -> str:
    """Return an exception as one line: its type, and its message with line breaks folded."""
    text = writable(" ".join(str(error).split()))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def writable(text: str) -> str:
    """Return a text that can be encoded: half a surrogate pair (of a file name, perhaps) is written as an escape."""
    return text.encode(errors="backslashreplace").decode()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown name: ``; did you mean "a" or "b"?``, or a full stop.

    Meant may be what is spelt nearly so, or else what has the name among its words.
    """
    import difflib  # only a wrong request needs it

    there_are = sorted(set(known))
    whole_words = [one for one in there_are if name and f"-{name}-" in f"-{one}-"]
    close = difflib.get_close_matches(name, there_are, n=3, cutoff=0.7) or whole_words[:3]
    return "; did you mean " + " or ".join(f'"{match}"' for match in close) + "?" if close else "."
