"""The error of a wrong request, which carries every problem found, and the error of a component that is at fault."""

from collections.abc import Iterable, Sequence


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


def doing(names: Sequence[str], one: str, many: str) -> str:
    """Return names joined, and what follows them for one and for several: ``a sees``, ``a and b see``."""
    return f"{' and '.join(names)} {one if len(names) == 1 else many}"


def writable(text: str) -> str:
    """Return a text that can be encoded: half a surrogate pair (of a file name, perhaps) is written as an escape."""
    return text.encode(errors="backslashreplace").decode()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown name: ``; did you mean "a" or "b"?``, or a full stop.

    Meant may be what is spelt nearly so, or has the same letters, capitals or not; or else what has the name among
    its words.
    """
    import difflib  # only a wrong request needs it

    there_are = {one: _plain(one) for one in sorted(set(known))}
    plain = _plain(name)
    whole_words = [one for one, other in there_are.items() if plain and f"-{plain}-" in f"-{other}-"]
    near = difflib.get_close_matches(plain, there_are.values(), n=3, cutoff=0.7)
    # Two letters of a short name changed for each other are too far apart for the above.
    near += [other for other in there_are.values() if sorted(other) == sorted(plain) and other not in near]
    close = [one for other in dict.fromkeys(near) for one in there_are if there_are[one] == other] or whole_words
    return "; did you mean " + " or ".join(f'"{match}"' for match in close[:3]) + "?" if close else "."


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
