"""An attack that reads everything it can reach from its view finds no truth, no ids and no seed."""

import functools
import types
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amulet_core.components import Attack
from amulet_core.data import make_data
from amulet_core.discovery.entries import Entry
from amulet_core.games.contest import Bank, Contest
from amulet_core.games.membership import MembershipAnswer, MembershipView, judge, view
from amulet_core.games.threats import MembershipThreat
from amulet_core.performing.splits import halves
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.streams import isolated, seed_of
from amulet_core.victims import LabelOracle, ProbabilityOracle, WhiteBox
from amulet_core.vocabulary import Access
from amulet_plugins_builtin.catalogue import membership, membership_attacks

ROWS, AUX, PAIRS, SEED = 120, 50, 5, 987_654_321_987
FIRST_ID, THREAT = 10**12, MembershipThreat()
ACCESSES: tuple[Access, ...] = ("white-box", "probabilities", "labels", "none")
ATTACKS = {one.name: one for one in (*membership.COMPONENTS, *membership_attacks.COMPONENTS) if isinstance(one, Attack)}
SCHEMA = DataSchema(
    modality="tabular",
    shape=(4,),
    classes=("a", "b", "c"),
    sensitive=(Sensitive(name="sex", categories=("f", "m")),),
    feasible=Feasible(low=0.0, high=1.0),
)


def contest(*, seed: int = SEED, weight: float = 1.0) -> Contest:
    """A victim that learned nothing (so that no output of it tells a member), members first in its pool."""
    draws = torch.Generator().manual_seed(1)
    x = torch.rand(ROWS + AUX, 4, generator=draws)
    y = torch.randint(0, 3, (ROWS + AUX,), generator=draws)
    z = torch.randint(0, 2, (ROWS + AUX, 1), generator=draws)
    rows = make_data(x, y, SCHEMA, z=z, ids=FIRST_ID + 7 * torch.arange(ROWS + AUX))
    pool, aux = rows.take(torch.arange(ROWS)), rows.take(torch.arange(ROWS, ROWS + AUX))
    masks = halves(pool.id, pool.y, pairs=PAIRS, seed=3)
    members_first = masks[0].int().argsort(descending=True, stable=True)
    pool, masks = pool.take(members_first), masks[:, members_first]
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight.copy_(weight * torch.randn(3, 4, generator=draws))
        model.bias.zero_()
    shadows = 2 * PAIRS - 2
    bank = Bank(
        pool=torch.randn(shadows, ROWS, 3, generator=draws),
        members=masks[2:],
        population=torch.randn(shadows, AUX, 3, generator=draws),
        adaptive=True,
    )
    return Contest(
        model=model, beneath=model, pool=pool, member=masks[0], test=aux, aux=aux, bank=bank, draws=(seed, "block 0")
    )


def truth_of(played: Contest, seen: MembershipView) -> Tensor:
    """The truth in the order of the candidates, as only the core can tell."""
    return judge(played, MembershipAnswer(score=torch.zeros(ROWS).double()), THREAT).member


def reachable(root: Any) -> Iterator[tuple[str, Any]]:
    """Everything that can be reached by fields, attributes, items, closures, defaults, bound objects and storages."""
    pending, seen = [("view", root)], {}
    while pending:
        path, value = pending.pop()
        if id(value) in seen or isinstance(value, type | types.ModuleType | types.BuiltinFunctionType):
            continue
        seen[id(value)] = value
        yield path, value
        pending += [(f"{path}{step}", part) for step, part in parts(value)]


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f".keys[{i}]", key) for i, key in enumerate(value))
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{i}]", part) for i, part in enumerate(value))
    elif isinstance(value, types.FunctionType):
        yield from ((f".closure[{i}]", cell.cell_contents) for i, cell in enumerate(value.__closure__ or ()))
        yield from ((".defaults", part) for part in (value.__defaults__, value.__kwdefaults__) if part)
    elif isinstance(value, types.MethodType):
        yield from ((".self", value.__self__), (".func", value.__func__))
    elif isinstance(value, functools.partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, Tensor):
        storage = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage())
        yield from ((name, part) for name, part in ((".base", value._base), (".grad", value.grad)) if part is not None)
        if storage.numel() > value.numel():
            yield ".storage", storage
    yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    yield from ((f".{name}", getattr(value, name)) for name in slots if name != "__dict__" and hasattr(value, name))


def tells(values: Tensor, truth: Tensor) -> bool:
    """Whether some vector among the values parts members from others, or lists their positions one group first."""
    if values.dim() == 0 or values.numel() % len(truth) or not values.numel():
        return False
    axes = [axis for axis, size in enumerate(values.shape) if size == len(truth)]
    vectors = [values.movedim(axis, -1).reshape(-1, len(truth)).double() for axis in axes]
    vectors += [values.reshape(-1, len(truth)).double()] if not axes else []
    return any(parted(vector, truth) or listed(vector, truth) for rows in vectors for vector in rows)


def parted(vector: Tensor, truth: Tensor) -> bool:
    inside, outside = vector[truth], vector[~truth]
    return bool(inside.min() > outside.max() or outside.min() > inside.max())


def listed(vector: Tensor, truth: Tensor) -> bool:
    if not torch.equal(vector.sort().values, torch.arange(len(truth)).double()):
        return False
    steps = truth[vector.long()].int().diff()
    return int(steps.abs().sum()) == 1


def leaks(root: Any, played: Contest, truth: Tensor) -> list[str]:
    """All that an attack could reach from ``root`` and must not."""
    forbidden = {SEED, seed_of(*played.draws), seed_of(*played.draws, "membership"), *played.draws}
    ids = torch.cat([played.pool.id, played.aux.id])
    found = []
    for path, value in reachable(root):
        if isinstance(value, torch.Generator | np.random.Generator | Contest | Bank):
            found.append(f"{path}: a {type(value).__name__}")
        if (
            isinstance(value, int | str)
            and not isinstance(value, bool)
            and (value in forbidden or value in ids.tolist())
        ):
            found.append(f"{path}: the seed or an id")
        if isinstance(value, list) and len(value) == ROWS and all(isinstance(item, int) for item in value):
            value = torch.tensor(value)  # noqa: PLW2901 (a list of numbers is judged as a tensor)
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)  # noqa: PLW2901 (an array likewise)
        if isinstance(value, Tensor):
            if any(tells(value, order) for order in (truth, played.member)):
                found.append(f"{path}: the truth")
            if torch.isin(value.long(), ids).any():
                found.append(f"{path}: ids")
    if tells(torch.arange(len(truth)), truth):
        found.append("the order of the candidates: the truth")
    return found


@pytest.mark.parametrize("access", ACCESSES)
def test_nothing_reachable_from_the_view_tells_the_truth_an_id_or_the_seed(access: Access) -> None:
    played = contest()
    seen = view(played, THREAT, access)
    assert leaks(seen, played, truth_of(played, seen)) == []


def test_the_walk_reaches_every_tensor_of_the_view() -> None:
    seen = view(contest(), THREAT, "white-box")
    tensors = {id(value) for _, value in reachable(seen) if isinstance(value, Tensor)}
    fields = [seen.x, seen.y, seen.observed, seen.population_x, seen.population_y, seen.observed_population]
    assert isinstance(seen.model, WhiteBox)
    wanted = [*fields, seen.lab.candidates, seen.lab.members, seen.lab.population, *seen.model.module.parameters()]
    assert {id(tensor) for tensor in wanted} <= tensors


def _hooked(seen: MembershipView, truth: Tensor) -> Any:
    assert isinstance(seen.model, WhiteBox)
    seen.model.module.register_forward_hook(lambda _module, _inputs, output: output + truth.sum())
    return seen


def _buffered(seen: MembershipView, truth: Tensor) -> Any:
    assert isinstance(seen.model, WhiteBox)
    seen.model.module.register_buffer("counts", 3 - truth.int())
    return seen


LEAKS = {
    "a tensor": lambda seen, truth, _: SimpleNamespace(seen=seen, extra=[{"deep": truth}]),
    "its complement": lambda seen, truth, _: (seen, ~truth),
    "scores that part": lambda seen, truth, _: (seen, truth * 5.0 + torch.rand(len(truth))),
    "a mask among masks": lambda seen, truth, _: (seen, torch.stack([torch.ones_like(truth), truth]).T),
    "positions": lambda seen, truth, _: (seen, truth.int().argsort(stable=True)),
    "an array": lambda seen, truth, _: (seen, truth.numpy()),
    "a list": lambda seen, truth, _: (seen, truth.int().tolist()),
    "a closure": lambda seen, truth, _: _hooked(seen, truth),
    "a bound argument": lambda seen, truth, _: (seen, functools.partial(torch.add, truth)),
    "a buffer of the model": lambda seen, truth, _: _buffered(seen, truth),
    "a storage": lambda seen, truth, _: (seen, torch.cat([torch.zeros_like(truth), truth])[: len(truth)]),
    "the truth in pool order": lambda seen, _, played: (seen, played.member),
    "ids": lambda seen, _, played: (seen, played.pool.id),
    "an id": lambda seen, _, played: (seen, int(played.pool.id[3])),
    "a seed": lambda seen, _, __: (seen, {"key": SEED}),
    "a generator": lambda seen, _, __: (seen, torch.Generator()),
    "the contest": lambda seen, _, played: (seen, played),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_seen(leak: str) -> None:
    played = contest()
    seen = view(played, THREAT, "white-box")
    truth = truth_of(played, seen)
    assert leaks(LEAKS[leak](seen, truth, played), played, truth)


def test_the_candidates_are_the_pool_shuffled() -> None:
    played = contest()
    seen = view(played, THREAT, "probabilities")
    same_row = (seen.x[:, None] == played.pool.x[None]).all(2)
    order = same_row.int().argmax(1)
    assert torch.equal(same_row.sum(1), torch.ones(ROWS, dtype=torch.int64))
    assert torch.equal(order.sort().values, torch.arange(ROWS))
    assert not torch.equal(order, torch.arange(ROWS))
    assert torch.equal(seen.y, played.pool.y[order])
    assert torch.equal(seen.lab.members, played.bank.members[:, order])
    assert torch.equal(truth_of(played, seen), played.member[order])


def test_the_order_is_the_seeds_draw_and_not_the_defenses() -> None:
    first, other_model, other_seed = (
        view(played, THREAT, "probabilities") for played in (contest(), contest(weight=-2.0), contest(seed=SEED + 1))
    )
    assert torch.equal(first.x, other_model.x)
    assert not torch.equal(first.observed, other_model.observed)
    assert not torch.equal(first.x, other_seed.x)


@pytest.mark.parametrize(
    ("access", "kind", "offers", "columns"),
    [
        ("white-box", WhiteBox, {"labels", "probabilities", "logits", "module"}, 3),
        ("probabilities", ProbabilityOracle, {"labels", "probabilities"}, 3),
        ("labels", LabelOracle, {"labels"}, 0),
        ("none", type(None), set(), 0),
    ],
)
def test_each_access_offers_what_it_names_and_no_more(
    access: Access, kind: type, offers: set[str], columns: int
) -> None:
    seen = view(contest(), THREAT, access)
    assert type(seen.model) is kind
    assert {name for name in ("labels", "probabilities", "logits", "module") if hasattr(seen.model, name)} == offers
    assert seen.observed.shape == (ROWS, columns)
    assert seen.observed_population.shape == (AUX, columns)


def test_access_none_reaches_no_network_at_all() -> None:
    seen = view(contest(), THREAT, "none")
    assert not [path for path, value in reachable(seen) if isinstance(value, nn.Module | LabelOracle)]


def test_without_the_victims_partner_the_masks_say_nothing_of_the_victim() -> None:
    played = contest()
    seen = view(played, THREAT, "probabilities")
    assert torch.equal(seen.lab.members.sum(0), torch.full((ROWS,), PAIRS - 1))


def test_the_partner_left_in_would_give_the_truth_away() -> None:
    played = contest()
    partner = ~played.member[None]
    bank = replace(
        played.bank,
        members=torch.cat([played.bank.members, partner]),
        pool=torch.cat([played.bank.pool, played.bank.pool[:1]]),
        population=torch.cat([played.bank.population, played.bank.population[:1]]),
    )
    leaky = replace(played, bank=bank)
    seen = view(leaky, THREAT, "probabilities")
    truth = truth_of(leaky, seen)
    assert torch.equal(seen.lab.members.sum(0) == PAIRS - 1, truth)
    assert leaks(seen, leaky, truth) == ["view.lab.members: the truth"]


def answered(name: str, played: Contest) -> MembershipAnswer:
    component = ATTACKS[name]
    attack = Entry(component, plugin="builtin", distribution="amulet-framework", version="0").load()
    with isolated("blindness", name):
        answer = attack(view(played, THREAT, component.access), component.params())
    assert isinstance(answer, MembershipAnswer)
    return answer


@pytest.mark.parametrize("name", ATTACKS)
def test_an_answer_does_not_depend_on_who_was_a_member(name: str) -> None:
    played = contest()
    found, other = answered(name, played), answered(name, replace(played, member=~played.member))
    assert torch.equal(found.score, other.score)
    assert found.threshold == other.threshold
    assert leaks(found, played, truth_of(played, view(played, THREAT, "probabilities"))) == []
