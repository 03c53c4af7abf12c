"""The attribute inference game: the adversary tells a sensitive attribute of rows, half of them members, half not.

What matters is what it learns from the *victim*: the controls play the same game without one, and each result stands
beside theirs. Whoever knows the columns that all but tell the attribute needs no model (Jayaraman and Evans 2022).
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import FiniteFloat
from torch import Tensor
from torch.nn.functional import log_softmax

from amulet_core.data import Data, bounds
from amulet_core.games.artifacts import Artifact, shaped
from amulet_core.games.contest import Contest, accessible
from amulet_core.games.discrimination import attribute_index
from amulet_core.games.threats import AttributeThreat
from amulet_core.schema import DataSchema
from amulet_core.streams import generator
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox, logits_of
from amulet_core.vocabulary import Access


class AttributeView(Artifact):
    """What the adversary gets: candidates without the attribute, rows of its own with it, and the victim on both.

    ``x`` and ``aux_x`` hold the features ``columns`` of the data's rows (flattened, unless they are all of them): not
    those that hold the attribute, nor those that the threat model withholds; ``[n, 0]`` where it knows the class alone.
    ``observed`` and ``observed_aux`` are the victim's log-probabilities on the whole rows.

    Equal answers to the row itself and with a value put in would give the value away, whatever the victim. So an attack
    that puts values in (``Attack.sensitive_in_x``) has ``model`` and ``asked``, where ``asked[v]`` is what the victim
    says of the candidates with value ``v`` put in, but nothing ``observed`` of them: shape ``[n, 0]``. All others have
    ``observed``, and ``puts`` is 0; where the attribute is an input of the victim they have no ``model`` to ask.
    """

    model: WhiteBox | ProbabilityOracle | LabelOracle | None
    x: Annotated[Tensor, shaped(torch.float32, "n", ...)]
    y: Annotated[Tensor, shaped(torch.int64, "n")]
    observed: Annotated[Tensor, shaped(torch.float32, "n", "observed classes")]
    asked: Annotated[Tensor, shaped(torch.float32, "puts", "n", "asked classes")]
    aux_x: Annotated[Tensor, shaped(torch.float32, "m", ...)]
    aux_y: Annotated[Tensor, shaped(torch.int64, "m")]
    aux_z: Annotated[Tensor, shaped(torch.int64, "m")]
    observed_aux: Annotated[Tensor, shaped(torch.float32, "m", "classes")]
    columns: tuple[int, ...]
    values: tuple[str, ...]
    data_schema: DataSchema


class AttributeAnswer(Artifact):
    """What it hands back: for each candidate and value a score, higher for likelier values.

    The value of the highest score is its guess (the first of equal ones). Of two values an attack may fix a threshold
    beforehand, on rows of its own: the second is guessed where its score is no lower.
    """

    score: Annotated[Tensor, shaped(torch.float64, "n", "values")]
    threshold: FiniteFloat | None = None
    warnings: tuple[str, ...] = ()


class AttributeResult(Artifact):
    """The answer joined with the truth; ``control`` are the guesses of the controls, none in a control's own result."""

    score: Annotated[Tensor, shaped(torch.float64, "n", "values")]
    guess: Annotated[Tensor, shaped(torch.int64, "n")]
    control: Annotated[Tensor, shaped(torch.int64, "controls", "n")]
    z: Annotated[Tensor, shaped(torch.int64, "n")]
    member: Annotated[Tensor, shaped(torch.bool, "n")]
    values: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def view(contest: Contest, threat: AttributeThreat, access: Access) -> AttributeView:
    """Return the adversary's view; which rows it holds is the seed's draw, the same for every defense."""
    schema = contest.pool.schema
    attribute = attribute_index(schema, threat.attribute)
    # Whoever knows the answers to the rows themselves could ask with each value put in, and compare.
    tells = contest.puts_in or not schema.sensitive[attribute].features
    model = accessible(contest, access) if tells else None  # copied before it is asked, lest it remember the rows
    candidates = contest.pool.take(_candidates(contest, threat))
    own = torch.randperm(len(contest.aux), generator=generator(*contest.draws, "attribute aux"))[: threat.aux]
    aux = contest.aux.take(own)
    columns = known_columns(schema, attribute, threat.without) if threat.knows == "row" else ()
    sees = access in ("white-box", "probabilities")
    asks = sees and contest.puts_in and not threat.without and threat.knows == "row"
    puts = _with_each_value(candidates, attribute) if asks else []
    put = [_said(contest, x, sees=sees) for x in puts]
    return AttributeView(
        model=model,
        x=_known(candidates, columns),
        y=candidates.y,
        observed=_said(contest, candidates.x, sees=sees and not contest.puts_in),
        asked=torch.stack(put) if put else torch.zeros(0, len(candidates), 0),
        aux_x=_known(aux, columns),
        aux_y=aux.y,
        aux_z=aux.z[:, attribute].clone(),
        observed_aux=_said(contest, aux.x, sees=sees),
        columns=columns,
        values=schema.sensitive[attribute].categories,
        data_schema=schema,
    )


def judge(contest: Contest, answer: AttributeAnswer, threat: AttributeThreat) -> AttributeResult:
    """Join the scores with the truth.

    Raises:
        ValueError: if there is not one score a candidate and value, or a threshold though there are not two values.
    """
    rows = _candidates(contest, threat)
    attribute = attribute_index(contest.pool.schema, threat.attribute)
    values = contest.pool.schema.sensitive[attribute].categories
    expected = [len(rows), len(values)]
    if list(answer.score.shape) != expected:
        raise ValueError(f"the answer's score is {list(answer.score.shape)}, expected [n, values] = {expected}")
    if answer.threshold is not None and len(values) != 2:
        raise ValueError(f"the answer has a threshold, which is for two values, but there are {len(values)}")
    return joined(answer, contest.pool.z[rows, attribute], contest.member[rows], values)


def joined(answer: AttributeAnswer, z: Tensor, member: Tensor, values: tuple[str, ...]) -> AttributeResult:
    """Return an answer beside the truth: the candidates' values, int64 ``[n]``, and which are members, bool ``[n]``."""
    return AttributeResult(
        score=answer.score,
        guess=_guesses(answer),
        control=torch.zeros(0, len(z), dtype=torch.int64),
        z=z,
        member=member,
        values=values,
        warnings=answer.warnings,
    )


def beside(result: AttributeResult, controls: Sequence[AttributeResult]) -> AttributeResult:
    """Return a result with the guesses of the controls, which were asked about the same rows."""
    return result.model_copy(update={"control": torch.stack([control.guess for control in controls])})


def known_columns(schema: DataSchema, attribute: int, without: Sequence[str]) -> tuple[int, ...]:
    """Return the features of a row that the adversary knows: not those that hold the attribute, nor the withheld."""
    hidden = {*schema.sensitive[attribute].features, *(index for name in without for index in schema.columns(name))}
    return tuple(index for index in range(schema.width) if index not in hidden)


def _candidates(contest: Contest, threat: AttributeThreat) -> Tensor:
    """Return positions in the pool, equally many members and others, shuffled."""
    draws = generator(*contest.draws, "attribute")
    order = torch.randperm(len(contest.pool), generator=draws)
    member = contest.member[order]
    half = min(threat.candidates // 2, int(member.sum()), int((~member).sum()))
    kept = order[(member & (member.cumsum(0) <= half)) | (~member & ((~member).cumsum(0) <= half))]
    # Shuffled again: the kind whose half was full first is missing from the end.
    return kept[torch.randperm(len(kept), generator=draws)]


def _known(rows: Data, columns: tuple[int, ...]) -> Tensor:
    if len(columns) == rows.schema.width:
        return rows.x
    return rows.x.flatten(1)[:, list(columns)]


def _with_each_value(rows: Data, attribute: int) -> list[Tensor]:
    """Return the rows with each value of the attribute put in; nothing where no features are one-hot for it."""
    places = list(rows.schema.one_hot_of(attribute))
    low, high = (bound.flatten() for bound in bounds(rows.schema))
    put = []
    for place in places:
        x = rows.x.flatten(1).clone()
        x[:, places] = low[places]
        x[:, place] = high[place]
        put.append(x.reshape(rows.x.shape))
    return put


def _said(contest: Contest, x: Tensor, *, sees: bool) -> Tensor:
    return log_softmax(logits_of(contest.model, x), 1) if sees else torch.zeros(len(x), 0)


def _guesses(answer: AttributeAnswer) -> Tensor:
    if answer.threshold is None:
        return answer.score.argmax(1)
    return (answer.score[:, 1] >= answer.threshold).long()
