"""Populations of models that differ in one share of their training rows: how many rows of which kind. Light."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Literal, cast

from amulet_core.configuration.request import DataSettings
from amulet_core.games.threats import DistributionThreat
from amulet_core.planning.facts import DataFacts
from amulet_core.schema import DataSchema

FEWEST = 20
"""The fewest rows that a model of a population is trained on, or that an adversary asks about."""

Side = Literal["victims", "adversary", "queries"]


@dataclass(frozen=True)
class Population:
    """Rows of which ``having`` have one value of a sensitive attribute, the column ``column`` of z.

    The side says whose rows: victims train on rows of the pool, the adversary's models on rows of aux, and queries are
    rows of test, so that nobody shares a row with another, and nobody asks about rows that it trained on.
    """

    side: Side
    column: int
    value: int
    having: int
    rows: int

    @property
    def text(self) -> str:
        """Return the population as one word of a key."""
        return f"{self.side} {self.column} {self.value} {self.having} {self.rows}"

    @classmethod
    def of(cls, text: str) -> "Population":
        """Return the population that a word of a key stands for."""
        side, *numbers = text.split(" ")
        return cls(cast("Side", side), *(int(number) for number in numbers))


@dataclass(frozen=True)
class Hypotheses:
    """Two hypotheses about training rows, ``having[h]`` of ``rows`` having the value; and the adversary's queries."""

    column: int
    value: int
    rows: int
    having: tuple[int, int]
    queries: int
    queries_having: tuple[int, int]

    def population(self, side: Side, hypothesis: int) -> Population:
        """Return the rows of one side under one hypothesis, 0 or 1."""
        rows, having = (
            (self.queries, self.queries_having[hypothesis])
            if side == "queries"
            else (self.rows, self.having[hypothesis])
        )
        return Population(side, self.column, self.value, having, rows)

    @property
    def ratios(self) -> tuple[float, float]:
        """Return the shares, exactly as they are in the training rows."""
        return self.having[0] / self.rows, self.having[1] / self.rows


def composition(rows: int, having: int, classes: Sequence[int]) -> list[tuple[int, int]]:
    """Say, for each class, how many rows have the value, and how many have not.

    The classes are in the proportions of ``classes``, whatever ``having`` is: P(y) is the same under every hypothesis.
    Within each class the value has the same share, to within a row: nothing but its share differs.
    """
    sizes = apportioned(rows, classes)
    return [(part, size - part) for size, part in zip(sizes, apportioned(having, sizes), strict=True)]


def apportioned(total: int, weights: Sequence[int]) -> list[int]:
    """Return whole numbers in proportion to ``weights`` that add up to ``total``, by largest remainders."""
    everything = sum(weights)
    shares = [divmod(total * weight, everything) for weight in weights]
    left = total - sum(whole for whole, _ in shares)
    first = sorted(range(len(weights)), key=lambda index: -shares[index][1])[:left]
    return [whole + (index in first) for index, (whole, _) in enumerate(shares)]


def attribute_and_value(threat: DistributionThreat, schema: DataSchema) -> tuple[int, int]:
    """Return the column of z and the value in it that a threat model means (empty: the first)."""
    names = [attribute.name for attribute in schema.sensitive]
    column = names.index(threat.attribute) if threat.attribute else 0
    categories = schema.sensitive[column].categories
    return column, categories.index(threat.value) if threat.value else 0


def hypotheses(threat: DistributionThreat, facts: DataFacts, data: DataSettings) -> Hypotheses:
    """Return the two hypotheses with training sets as large as the threat model says, or else as the rows allow.

    Both hypotheses, victims and adversary alike, have the same number of rows.

    Raises:
        ValueError: if they are impossible on such data; ``ratio_problems`` says why.
    """
    problems = ratio_problems(threat, facts, data)
    if problems:
        raise ValueError("; ".join(problems))
    column, value = attribute_and_value(threat, facts.data_schema)
    rows = _most(threat, facts, 2 * data.train, data.aux, limit=threat.rows or data.train)
    queries = _most(threat, facts, data.test, limit=threat.queries)
    return Hypotheses(column, value, rows, _having(threat, rows), queries, _having(threat, queries))


def ratio_problems(threat: DistributionThreat, facts: DataFacts, data: DataSettings) -> list[str]:
    """List why such populations cannot be drawn from data of which only the facts are known."""
    schema = facts.data_schema
    problems = _name_problems(threat, schema)
    if problems:
        return problems
    if 0 < threat.rows < FEWEST:
        return [
            f"populations of {threat.rows} rows are too few: rows must be {FEWEST} or more (0: as many as possible)"
        ]
    if threat.rows > data.train:
        problems.append(
            f"populations of {threat.rows} rows are more than the {data.train} that a model trains on: lower rows, or "
            "raise data.train"
        )
    need, trained = threat.rows or FEWEST, {"pool": 2 * data.train, "aux": data.aux}
    most = {part: _most(threat, facts, size, limit=threat.rows or size) for part, size in trained.items()}
    lacking = [_too_few(threat, facts, part, size, need) for part, size in most.items() if size < need]
    problems += lacking or _joint_problems(threat, facts, data)
    asked = _most(threat, facts, data.test, limit=threat.queries)
    return problems + ([_too_few(threat, facts, "test", asked, FEWEST)] if asked < FEWEST else [])


def _joint_problems(threat: DistributionThreat, facts: DataFacts, data: DataSettings) -> list[str]:
    """Say why two parts that hold enough rows each hold no such number in common, as a model may train on."""
    most = _most(threat, facts, 2 * data.train, data.aux, limit=threat.rows or data.train)
    if threat.rows or most >= FEWEST:
        return []
    return [
        f"{_impossible(threat, facts)}: of {data.train} rows or fewer, as a model trains on, pool and aux are both "
        f"sure to hold {most}, and {FEWEST} are needed: choose other ratios, or raise data.train or data.aux"
    ]


def _too_few(threat: DistributionThreat, facts: DataFacts, part: str, most: int, need: int) -> str:
    setting = "train" if part == "pool" else part
    lower = "lower rows, " if need > FEWEST else ""
    return (
        f"{_impossible(threat, facts)}: {part} has enough rows of every class and kind for {most} rows, and {need} are "
        f"needed: {lower}choose other ratios, or raise data.{setting}"
    )


def _impossible(threat: DistributionThreat, facts: DataFacts) -> str:
    column, value = attribute_and_value(threat, facts.data_schema)
    attribute = facts.data_schema.sensitive[column]
    ratios = " and ".join(f"{ratio:g}" for ratio in threat.ratios)
    return f'shares of {ratios} of {attribute.name} "{attribute.categories[value]}" are impossible for the data'


def _name_problems(threat: DistributionThreat, schema: DataSchema) -> list[str]:
    names = [attribute.name for attribute in schema.sensitive]
    if not names:
        return ["the data set has no sensitive attribute, so there is no share to infer"]
    if threat.attribute and threat.attribute not in names:
        return [f'the data set has no sensitive attribute "{threat.attribute}"; it has {", ".join(names)}']
    attribute = schema.sensitive[names.index(threat.attribute) if threat.attribute else 0]
    if threat.value and threat.value not in attribute.categories:
        return [f'{attribute.name} has no value "{threat.value}"; it has {", ".join(attribute.categories)}']
    return []


def _having(threat: DistributionThreat, rows: int) -> tuple[int, int]:
    first, second = (floor(ratio * rows + 0.5) for ratio in threat.ratios)
    return first, second


def _most(threat: DistributionThreat, facts: DataFacts, *sizes: int, limit: int) -> int:
    """Return the most rows up to ``limit``, at every ratio, that parts of such sizes are all sure to hold; 0 if none.

    All are asked about one and the same number: with largest remainders, fewer rows may need one more of some kind, so
    that what holds for some number need not hold for a smaller one.
    """
    parts, classes = [_sure(threat, facts, size) for size in sizes], _class_sizes(facts)
    start = min(limit, *sizes, *(_at_most(threat, facts, cells) for cells in parts))
    numbers = range(start, 0, -1)
    return next((rows for rows in numbers if all(_holds(threat, cells, rows, classes) for cells in parts)), 0)


def _at_most(threat: DistributionThreat, facts: DataFacts, cells: Sequence[tuple[int, int]]) -> int:
    """Return a number of rows that such counts hold no more than, at every ratio."""
    bounds = [
        # Rounded thrice (rows with the value, the class, those of both), a need is at most 2.5 below its share.
        floor((there + 3) / (count / facts.rows * share))
        for ratio in threat.ratios
        for kinds, count in zip(cells, _class_sizes(facts), strict=True)
        for there, share in zip(kinds, (ratio, 1 - ratio), strict=True)
        if count  # a class without rows needs none
    ]
    return min(bounds)


def _holds(threat: DistributionThreat, cells: Sequence[tuple[int, int]], rows: int, classes: Sequence[int]) -> bool:
    return all(
        wanted <= there
        for having in _having(threat, rows)
        for kinds, sure in zip(composition(rows, having, classes), cells, strict=True)
        for wanted, there in zip(kinds, sure, strict=True)
    )


def _sure(threat: DistributionThreat, facts: DataFacts, size: int) -> list[tuple[int, int]]:
    """Return how many rows of each class, with the value and without, a part of ``size`` rows is sure to hold.

    Parts are stratified to within a row or two in each run of rows that are alike; rows with one value of the k-th
    attribute are spread over the runs of the attributes before it, and their errors add up.
    """
    column, value = attribute_and_value(threat, facts.data_schema)
    spare = 2 * (column + 1)
    counts = [(row[value], sum(row) - row[value]) for row in facts.cells[column]]
    return [
        (max(0, size * having // facts.rows - spare), max(0, size * others // facts.rows - spare))
        for having, others in counts
    ]


def _class_sizes(facts: DataFacts) -> list[int]:
    return [sum(row) for row in facts.cells[0]]
