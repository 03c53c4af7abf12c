"""How one class of torchattacks is used: what it is called, what it measures in, what it must be told. Light."""

from typing import ClassVar, Literal, NamedTuple

from amulet_core.components import Params
from amulet_core.vocabulary import Access, Norm


class Use(NamedTuple):
    """What the adapter must know of a class of torchattacks beyond its own settings.

    ``norms``: those it keeps to; ``takes_norm``: it is told which of them. ``budget``: the argument that takes the
    budget (None: it seeks the smallest change, or knows no budget). ``takes_seed``: it seeds the global generator
    itself. ``takes_classes``: it must be told how many there are. ``colour``: its convolutions take three channels.
    ``positive``: it takes logits below 0 for 0, so it is shown logits moved above that. ``compares``: how many logits
    its difference-of-logits ratio compares; victims of fewer classes are shown with classes that never win.
    """

    name: str
    norms: tuple[Norm, ...] = ("linf",)
    access: Access = "white-box"
    budget: Literal["eps", "max_epsilon"] | None = "eps"
    takes_norm: bool = False
    takes_seed: bool = False
    takes_classes: bool = False
    colour: bool = False
    positive: bool = False
    compares: int = 2


class Settings(Params):
    """The settings of one attack, as torchattacks has them.

    A field's serialization alias, or else its name, is the name of the argument in torchattacks. A field whose name
    begins with ``relative_`` is a fraction of the budget, so that one setting fits every budget of a security curve.
    """

    use: ClassVar[Use]
