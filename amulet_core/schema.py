"""What is publicly known of a data set: features, classes, sensitive attributes, and what an adversary may change.

Light on purpose (no torch, no numpy): plans and ``applicable`` checks read it before anything heavy is imported.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from amulet_core.vocabulary import Modality

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Frozen(BaseModel):
    """The base of every value that crosses a plugin boundary: immutable, and strict about its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Sensitive(Frozen):
    """A sensitive attribute: its name, and the label of each of its values ``0 .. len(categories) - 1``.

    ``features`` are the (flattened) features of ``x`` that hold it, where it is an input of the model too;
    ``DataSchema.one_hot_of`` tells whether they are one for each value.
    """

    name: str
    categories: tuple[str, ...] = Field(min_length=2)
    features: tuple[int, ...] = ()


class Feasible(Frozen):
    """What inputs are possible, and what an adversary may change of one.

    ``low`` and ``high`` bound each flattened feature (one number: the same for all), in the units of ``x``.
    An epsilon is a fraction of each feature's range ``high - low``. ``immutable`` features keep their value;
    the features of a ``one_hot`` group hold a single one among zeros; ``integer`` features lie on whole numbers.
    """

    low: Finite | tuple[Finite, ...]
    high: Finite | tuple[Finite, ...]
    immutable: tuple[int, ...] = ()
    one_hot: tuple[tuple[int, ...], ...] = ()
    integer: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        low = self.low if isinstance(self.low, tuple) else (self.low,)
        high = self.high if isinstance(self.high, tuple) else (self.high,)
        if len(low) != len(high):
            raise ValueError(
                f"low has {len(low)} bounds and high has {len(high)}: give one number each, or equally many"
            )
        wrong = [i for i, (a, b) in enumerate(zip(low, high, strict=True)) if not a < b]
        if wrong:
            raise ValueError(f"low must be below high; it is not for the features {wrong[:5]}")
        return self


class DataSchema(Frozen):
    """The public description of a data set; ``shape`` is that of one row of ``x``."""

    modality: Modality
    shape: tuple[int, ...] = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=2)
    sensitive: tuple[Sensitive, ...] = ()
    feasible: Feasible
    features: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Count the features of one flattened row."""
        width = 1
        for size in self.shape:
            width *= size
        return width

    def columns(self, name: str) -> tuple[int, ...]:
        """Return the features of a column: the one of that name, or those of its labels, ``name=label``; maybe none."""
        return tuple(index for index, own in enumerate(self.features) if own == name or own.startswith(f"{name}="))

    def one_hot_of(self, attribute: int) -> tuple[int, ...]:
        """Return the features that are one-hot for the values of a sensitive attribute, in their order; maybe none.

        They are a group of ``feasible.one_hot``, one feature a value, named ``column=value`` where features have names.
        """
        own = self.sensitive[attribute]
        if len(own.features) != len(own.categories) or own.features not in self.feasible.one_hot:
            return ()
        names = [self.features[index] for index in own.features] if self.features else []
        return own.features if all(map(str.endswith, names, (f"={value}" for value in own.categories))) else ()

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        if self.features and len(self.features) != self.width:
            raise ValueError(f"{len(self.features)} feature names for {self.width} features")
        if isinstance(self.feasible.low, tuple) and len(self.feasible.low) != self.width:
            raise ValueError(f"{len(self.feasible.low)} bounds for {self.width} features")
        groups = [i for group in self.feasible.one_hot for i in group]
        for name, indices in (
            ("immutable", self.feasible.immutable),
            ("integer", self.feasible.integer),
            ("one_hot", groups),
        ):
            self._known(f"feasible.{name}", indices)
        for attribute in self.sensitive:
            self._known(f"sensitive.{attribute.name}", attribute.features)
        if len(groups) != len(set(groups)):
            raise ValueError("a feature stands in more than one one_hot group")
        return self

    def _known(self, whose: str, features: tuple[int, ...] | list[int]) -> None:
        wrong = [i for i in features if not 0 <= i < self.width]
        if wrong:
            raise ValueError(f"{whose} names the features {wrong[:5]}, but there are only {self.width}")
