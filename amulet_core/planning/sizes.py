"""How many rows the parts of a block have, and why the data do not suffice for them. Light."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from amulet_core.configuration.request import DataSettings


@dataclass(frozen=True)
class SplitSizes:
    """How many rows each part of a block has; its pool has ``2 * train``: the members, and as many non-members."""

    train: int
    val: int
    test: int
    aux: int

    @property
    def block(self) -> int:
        """Count the rows of one block."""
        return 2 * self.train + self.val + self.test + self.aux


def sizes_of(data: DataSettings) -> SplitSizes:
    """Return the sizes that a request asks for."""
    return SplitSizes(train=data.train, val=data.val, test=data.test, aux=data.aux)


def size_problems(sizes: SplitSizes, *, blocks: int, classes: Sequence[str], class_rows: Sequence[int]) -> list[str]:
    """List why ``blocks`` blocks cannot be drawn from data with so many rows of each class."""
    negative = [field.name for field in fields(sizes) if getattr(sizes, field.name) < 0]
    problems = [f"split: the size of {name} is {getattr(sizes, name)}; it must not be negative" for name in negative]
    if sizes.train < 1 and "train" not in negative:
        problems.append("split: the size of train is 0; give it at least 1 row")
    if blocks < 1:
        problems.append(f"split: {blocks} blocks were asked for; ask for at least 1")
    if problems:
        return problems
    rows, present = sum(class_rows), [name for name, count in zip(classes, class_rows, strict=True) if count]
    if len(present) < 2:
        problems.append(f'split: all {rows:,} rows are of one class, "{"".join(present)}"; a classifier needs two')
    if blocks * sizes.block > rows:
        problems.append(_shortage(rows, sizes, blocks))
    return problems


def _shortage(rows: int, sizes: SplitSizes, blocks: int) -> str:
    largest = (rows // blocks - (sizes.block - 2 * sizes.train)) // 2
    hint = (
        f"the largest train that fits is {largest:,}"
        if largest >= 1
        else "no train fits: ask for fewer blocks, or for less of val, test and aux"
    )
    return (
        f"split: {blocks} disjoint blocks of {sizes.block:,} rows (2 x {sizes.train:,} train, {sizes.val:,} val, "
        f"{sizes.test:,} test, {sizes.aux:,} aux) are {blocks * sizes.block:,} rows, but the data have {rows:,}; {hint}"
    )
