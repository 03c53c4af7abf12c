"""The attribute game: what the adversary sees of which rows, that it cannot see the truth, and how answers are judged."""

import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_blindness import reachable
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from amulet_core.games.attribute import AttributeAnswer, AttributeResult, AttributeView, beside, judge, view
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.discrimination import attribute_index
from amulet_core.games.threats import AttributeThreat
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.streams import seed_of
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox
from amulet_core.vocabulary import Access

Make = Callable[..., Contest]
ATTRIBUTES = {"sex": 0, "age": 1, "faith": 2}
HELD = {"sex": (1, 2), "age": (6,), "faith": ()}
ACCESSES: tuple[Access, ...] = ("white-box", "probabilities", "labels", "none")


def threat(**more: Any) -> AttributeThreat:
    return AttributeThreat(**{"attribute": "sex"} | more)


def result_of(played: Contest, model: AttributeThreat, score: Tensor | None = None) -> AttributeResult:
    """The truth in the order of the candidates, as only the core can tell."""
    n = len(view(played, model, "none").y)
    values = len(played.pool.schema.sensitive[ATTRIBUTES[model.attribute]].categories)
    return judge(played, AttributeAnswer(score=torch.zeros(n, values).double() if score is None else score), model)


def rows_of(played: Contest, seen: AttributeView) -> Tensor:
    """The positions in the pool of the candidates of a view, by their sizes, which are unique."""
    return (seen.x[:, :1] == played.pool.x[:, 0]).int().argmax(1)


@pytest.mark.parametrize("without", [(), ("job",), ("job", "size")])
@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_the_adversary_sees_neither_the_features_that_hold_the_attribute_nor_the_withheld(
    contest: Make, attribute: str, without: tuple[str, ...]
) -> None:
    seen = view(contest(), threat(attribute=attribute, without=without), "probabilities")
    hidden = {*HELD[attribute], *((3, 4, 5) if "job" in without else ()), *((0,) if "size" in without else ())}
    assert seen.columns == tuple(i for i in range(7) if i not in hidden)
    assert seen.x.shape == (120, len(seen.columns))
    assert seen.aux_x.shape == (50, len(seen.columns))


def test_an_adversary_that_knows_the_class_alone_sees_no_features_but_all_that_the_victim_says(contest: Make) -> None:
    played = contest()
    seen, whole = (view(played, threat(knows=knows), "probabilities") for knows in ("class", "row"))
    assert (seen.columns, seen.x.shape, seen.aux_x.shape) == ((), (120, 0), (50, 0))
    for name in ("y", "aux_y", "aux_z", "observed", "observed_aux"):
        assert torch.equal(getattr(seen, name), getattr(whole, name))


def test_columns_withheld_are_hidden_from_the_adversary_alone(contest: Make) -> None:
    played = contest()
    seen, whole = (view(played, threat(without=without), "probabilities") for without in (("job", "age"), ()))
    for few, all_ in ((seen.x, whole.x), (seen.aux_x, whole.aux_x)):
        assert torch.equal(few, all_[:, [whole.columns.index(i) for i in seen.columns]])
    assert torch.equal(seen.observed, whole.observed)


def test_the_victim_is_asked_about_whole_rows(contest: Make) -> None:
    played = contest()
    seen = view(played, threat(without=("age",)), "probabilities")
    rows = rows_of(played, seen)
    assert torch.equal(seen.x, played.pool.x[rows][:, list(seen.columns)])
    assert torch.equal(seen.y, played.pool.y[rows])
    assert torch.equal(seen.observed, log_softmax(played.model(played.pool.x[rows]), 1))
    own = (seen.aux_x[:, :1] == played.aux.x[:, 0]).int().argmax(1)
    assert torch.equal(seen.aux_z, played.aux.z[own, 0])
    assert torch.equal(seen.aux_y, played.aux.y[own])
    assert torch.equal(seen.observed_aux, log_softmax(played.model(played.aux.x[own]), 1))


def test_the_victim_is_asked_with_each_value_put_in_and_nothing_else_changed(contest: Make) -> None:
    played = contest()
    seen = view(replace(played, puts_in=True), threat(), "probabilities")
    rows = played.pool.x[rows_of(played, seen)]
    for value, said in enumerate(seen.asked):
        changed = rows.clone()
        changed[:, 1:3] = torch.eye(2)[value]
        assert torch.equal(said, log_softmax(played.model(changed), 1))
    assert len(seen.asked) == 2


@pytest.mark.parametrize(
    ("changes", "access"),
    [
        ({"attribute": "age"}, "probabilities"),
        ({"attribute": "faith"}, "white-box"),
        ({}, "labels"),
        ({"without": ("job",)}, "probabilities"),
        ({"knows": "class"}, "probabilities"),
    ],
)
def test_no_value_is_put_in_where_none_can_be_or_nothing_is_told(
    contest: Make, changes: dict[str, Any], access: Access
) -> None:
    seen = view(contest(puts_in=True), threat(**changes), access)
    assert seen.asked.shape == (0, 120, 0)


@pytest.mark.parametrize("access", ["white-box", "probabilities"])
@pytest.mark.parametrize("puts_in", [True, False])
def test_nobody_can_compare_the_answers_to_the_rows_with_those_to_values_put_in(
    contest: Make, puts_in: bool, access: Access
) -> None:
    seen = view(contest(puts_in=puts_in), threat(), access)
    assert (seen.observed.shape, len(seen.asked)) == (((120, 0), 2) if puts_in else ((120, 3), 0))
    assert (seen.model is None) == (not puts_in)  # with both, it could ask with each value put in itself
    assert seen.observed_aux.shape == (50, 3)


def test_half_of_the_candidates_are_members(contest: Make) -> None:
    for candidates, members, expected in ((2000, 60, (60, 60)), (60, 60, (30, 30)), (2000, 90, (30, 30))):
        result = result_of(contest(members=members), threat(candidates=candidates))
        assert (int(result.member.sum()), int((~result.member).sum())) == expected


def test_the_order_of_the_candidates_does_not_tell_members(contest: Make) -> None:
    first = [result_of(contest(seed=seed, members=90), threat()).member[-5:] for seed in range(200)]
    share = float(torch.stack(first).double().mean())
    assert abs(share - 0.5) < 0.06  # members, of which there are more, would stand last if their order was kept


def test_the_candidates_are_the_seeds_draw_and_not_the_defenses(contest: Make) -> None:
    first, other_model, other_seed = (
        view(played, threat(candidates=60, aux=20), "probabilities")
        for played in (contest(), contest(weight=-2.0), contest(seed=5))
    )
    assert torch.equal(first.x, other_model.x)
    assert torch.equal(first.aux_x, other_model.aux_x)
    assert not torch.equal(first.observed, other_model.observed)
    assert not torch.equal(first.x, other_seed.x)
    assert not torch.equal(first.aux_x, other_seed.aux_x)


def tells(vector: Tensor, truth: Tensor) -> bool:
    """Whether a vector parts the values of z, or members from others: its values on both sides never meet."""
    groups = [vector[truth == value] for value in truth.unique()]
    return all(not torch.isin(one, other).any() for i, one in enumerate(groups) for other in groups[:i])


def leaks(root: Any, played: Contest, result: AttributeResult) -> list[str]:
    """All that an attack could reach from ``root`` and must not."""
    ids = torch.cat([played.pool.id, played.aux.id])
    forbidden = {*played.draws, seed_of(*played.draws), seed_of(*played.draws, "attribute")}
    found = []
    for path, value in reachable(root):
        if isinstance(value, torch.Generator | Contest | Bank):
            found.append(f"{path}: a {type(value).__name__}")
        if isinstance(value, int | str) and not isinstance(value, bool) and value in forbidden:
            found.append(f"{path}: the seed")
        if isinstance(value, Tensor) and torch.isin(value.long(), ids).any():
            found.append(f"{path}: ids")
        if isinstance(value, Tensor) and value.dim():
            axes = [axis for axis, size in enumerate(value.shape) if size == len(result.z)]
            vectors = [row for axis in axes for row in value.movedim(axis, -1).reshape(-1, len(result.z)).double()]
            # Discrete columns alone: real numbers that all differ part every two groups.
            few = [row for row in vectors if len(row.unique()) < 10]
            for name, truth in (("z", result.z), ("membership", result.member)):
                found += [f"{path}: {name}"] * any(tells(row, truth) for row in few)
    return found


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize(("attribute", "puts_in"), [("sex", False), ("sex", True), ("faith", False)])
def test_nothing_reachable_from_the_view_tells_the_truth_an_id_or_the_seed(
    contest: Make, attribute: str, puts_in: bool, access: Access
) -> None:
    played, model = contest(puts_in=puts_in), threat(attribute=attribute)
    assert leaks(view(played, model, access), played, result_of(played, model)) == []


LEAKS: dict[str, Callable[[AttributeResult, Contest], Any]] = {
    "z": lambda result, _: result.z,
    "a feature that holds it": lambda result, _: torch.stack([torch.rand(120), 1.0 - result.z], 1),
    "membership": lambda result, _: result.member,
    "ids": lambda _, played: played.pool.id,
    "the contest": lambda _, played: played,
    "the seed": lambda _, played: played.draws[0],
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_seen(contest: Make, leak: str) -> None:
    played = contest()
    result = result_of(played, threat())
    root = SimpleNamespace(view=view(played, threat(), "probabilities"), extra=LEAKS[leak](result, played))
    assert leaks(root, played, result)


@pytest.mark.parametrize(
    ("access", "kind", "columns"),
    [
        ("white-box", WhiteBox, 3),
        ("probabilities", ProbabilityOracle, 3),
        ("labels", LabelOracle, 0),
        ("none", None, 0),
    ],
)
def test_each_access_offers_what_it_names_and_no_more(
    contest: Make, access: Access, kind: type | None, columns: int
) -> None:
    played = contest()
    seen = view(played, threat(attribute="faith"), access)
    assert type(seen.model) is (kind or type(None))
    assert seen.observed.shape == (120, columns)
    assert seen.observed_aux.shape == (50, columns)
    assert bool(played.model.asked) == (columns > 0)
    if access == "none":
        assert not [path for path, value in reachable(seen) if isinstance(value, nn.Module | LabelOracle)]


def test_an_answer_is_joined_with_the_truth_of_its_row(contest: Make) -> None:
    played, model = contest(), threat(attribute="faith")
    rows = rows_of(played, view(played, model, "none"))
    right = torch.eye(3).double()[played.pool.z[rows, 2]]
    result = result_of(played, model, right)
    assert torch.equal(result.z, played.pool.z[rows, 2])
    assert torch.equal(result.member, played.member[rows])
    assert torch.equal(result.guess, result.z)
    assert result.values == ("p", "q", "r")
    assert result.control.shape == (0, 120)


def test_a_threshold_decides_between_two_values(contest: Make) -> None:
    score = torch.stack([torch.full((120,), 0.9), torch.linspace(0, 1, 120)], 1).double()
    result = judge(contest(), AttributeAnswer(score=score, threshold=float(score[30, 1])), threat())
    assert result.guess.tolist() == [0] * 30 + [1] * 90


@pytest.mark.parametrize(
    ("attribute", "shape", "threshold", "message"),
    [
        ("sex", (119, 2), None, "the answer's score is [119, 2], expected [n, values] = [120, 2]"),
        ("faith", (120, 2), None, "the answer's score is [120, 2], expected [n, values] = [120, 3]"),
        ("faith", (120, 3), 0.5, "the answer has a threshold, which is for two values, but there are 3"),
    ],
)
def test_an_answer_of_the_wrong_form_is_refused(
    contest: Make, attribute: str, shape: tuple[int, int], threshold: float | None, message: str
) -> None:
    answer = AttributeAnswer(score=torch.zeros(shape).double(), threshold=threshold)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        judge(contest(), answer, threat(attribute=attribute))


def test_a_result_is_set_beside_the_guesses_of_the_controls(contest: Make) -> None:
    played = contest()
    scores = [torch.rand(120, 2, generator=torch.Generator().manual_seed(seed)).double() for seed in range(3)]
    own, *controls = [result_of(played, threat(), score) for score in scores]
    found = beside(own, controls)
    assert torch.equal(found.control, torch.stack([score.argmax(1) for score in scores[1:]]))
    assert torch.equal(found.guess, own.guess)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (("sex", "age"), "the data set has no sensitive attribute 'race'; it has sex, age"),
        ((), "the data set declares no sensitive attribute: there are no groups"),
    ],
)
def test_an_attribute_that_the_data_lack_is_an_error(attributes: tuple[str, ...], message: str) -> None:
    own = tuple(Sensitive(name=name, categories=("a", "b")) for name in attributes)
    schema = DataSchema(
        modality="tabular", shape=(1,), classes=("a", "b"), sensitive=own, feasible=Feasible(low=0.0, high=1.0)
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        attribute_index(schema, "race")
