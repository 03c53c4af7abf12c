"""Splits: duplicates, disjoint blocks in the proportions of the data, and halves of a pool."""

from dataclasses import fields, replace

import pytest
import torch

from amulet_core.data import Data, make_data
from amulet_core.errors import RequestError
from amulet_core.performing.splits import Block, blocks, deduplicated, halves, positions
from amulet_core.planning.sizes import SplitSizes
from amulet_core.schema import DataSchema, Feasible, Sensitive

SIZES = SplitSizes(train=60, val=31, test=50, aux=47)


def rows(n: int, *, shares: tuple[float, ...] = (0.76, 0.24), seed: int = 0) -> Data:
    """Draw n rows: classes in these shares, two sensitive attributes of which one has rare values, ids not 0 .. n."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.multinomial(torch.tensor(shares), n, replacement=True, generator=draws)
    race = torch.multinomial(torch.tensor([0.85, 0.1, 0.04, 0.01]), n, replacement=True, generator=draws)
    schema = DataSchema(
        modality="tabular",
        shape=(3,),
        classes=tuple(f"class {k}" for k in range(len(shares))),
        sensitive=(
            Sensitive(name="sex", categories=("f", "m")),
            Sensitive(name="race", categories=("a", "b", "c", "d")),
        ),
        feasible=Feasible(low=0.0, high=1.0),
    )
    z = torch.stack([torch.randint(0, 2, (n,), generator=draws), race], dim=1)
    ids = 1000 + 7 * torch.randperm(n, generator=draws)
    return make_data(torch.rand(n, 3, generator=draws), y, schema, z=z, ids=ids)


def parts(block: Block) -> list[torch.Tensor]:
    return [getattr(block, field.name) for field in fields(block)]


def strata(data: Data) -> torch.Tensor:
    return torch.cat([data.y[:, None], data.z], dim=1).unique(dim=0, return_inverse=True)[1]


def test_the_first_of_equal_rows_stays_under_its_own_id() -> None:
    data = rows(6)
    x = data.x[[0, 1, 0, 0, 4, 1]]
    y = torch.tensor([0, 1, 0, 1, 1, 1])
    ids = torch.tensor([50, 40, 30, 20, 10, 0])
    kept = deduplicated(replace(data, x=x, y=y, id=ids))
    # Row 2 repeats row 0 and row 5 repeats row 1; row 3 has the inputs of row 0 under another label.
    assert kept.id.tolist() == [50, 40, 20, 10]
    assert torch.equal(kept.x, x[[0, 1, 3, 4]])
    assert torch.equal(kept.z, data.z[[0, 1, 3, 4]])


def test_duplicates_are_those_that_python_finds() -> None:
    data = rows(500)
    data = replace(data, x=(data.x * 4).round() / 4)
    seen: set[tuple[float, ...]] = set()
    expected = []
    for x, y, row in zip(data.x.tolist(), data.y.tolist(), data.id.tolist(), strict=True):
        if (*x, y) not in seen:
            expected.append(row)
        seen.add((*x, y))
    assert 0 < len(expected) < 500
    assert deduplicated(data).id.tolist() == expected


def test_minus_zero_equals_zero() -> None:
    data = rows(2)
    data = replace(data, x=torch.tensor([[0.0, 0.0, 1.0], [-0.0, 0.0, 1.0]]), y=torch.tensor([0, 0]))
    assert len(deduplicated(data)) == 1


def test_images_are_deduplicated_too() -> None:
    data = rows(4)
    images = torch.rand(4, 1, 8, 8)[[0, 1, 1, 0]]
    schema = data.schema.model_copy(update={"shape": (1, 8, 8), "modality": "image"})
    kept = deduplicated(replace(data, x=images, y=torch.tensor([0, 1, 0, 0]), schema=schema))
    assert torch.equal(kept.id, data.id[[0, 1, 2]])


def test_rows_are_found_by_id() -> None:
    data = rows(100)
    wanted = data.id[[7, 3, 99, 0]]
    assert positions(data, wanted).tolist() == [7, 3, 99, 0]


def test_unknown_ids_are_named() -> None:
    data = rows(100)
    with pytest.raises(ValueError) as raised:
        positions(data, torch.tensor([1000, -1, 1001, 10**9]))
    assert str(raised.value) == "3 row ids are not in the data (for example [-1, 1001, 1000000000])"


@pytest.mark.parametrize("count", [1, 3])
def test_parts_have_the_asked_sizes_and_share_no_row(count: int) -> None:
    data = rows(1000)
    drawn = blocks(data, sizes=SIZES, blocks=count, seed=5)
    assert [[len(part) for part in parts(block)] for block in drawn] == [[120, 31, 50, 47]] * count
    everything = torch.cat([part for block in drawn for part in parts(block)])
    assert len(everything.unique()) == len(everything)
    assert torch.isin(everything, data.id).all()


@pytest.mark.parametrize("used", ["all rows", "a tenth"])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("shares", [(0.76, 0.24), (0.5, 0.3, 0.15, 0.05), (0.1,) * 10])
def test_every_part_has_the_shares_of_the_data_to_within_two_rows(
    used: str, count: int, shares: tuple[float, ...]
) -> None:
    data = rows(2000, shares=shares, seed=count)
    block = 2000 // count // (1 if used == "all rows" else 10)
    train, val, test = block // 4, block // 10, block // 5
    sizes = SplitSizes(train=train, val=val, test=test, aux=block - 2 * train - val - test)
    for part in (part for block in blocks(data, sizes=sizes, blocks=count, seed=1) for part in parts(block)):
        inside = torch.isin(data.id, part)
        for groups in (data.y, strata(data)):
            expected = groups.bincount() * (len(part) / len(data))
            found = groups[inside].bincount(minlength=len(expected))
            assert (found - expected).abs().max() <= 2


def test_the_seed_alone_decides() -> None:
    data = rows(1000)
    same = data.take(torch.arange(1000))
    first, again, other = (
        [part for block in blocks(d, sizes=SIZES, blocks=2, seed=seed) for part in parts(block)]
        for d, seed in ((data, 1), (same, 1), (data, 2))
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[4])


def test_every_row_is_as_likely_in_a_part_as_any_other() -> None:
    data = rows(40, shares=(0.5, 0.5))
    sizes = SplitSizes(train=5, val=4, test=4, aux=4)
    drawn = [blocks(data, sizes=sizes, blocks=1, seed=seed)[0].pool for seed in range(2000)]
    share = torch.stack([torch.isin(data.id, pool) for pool in drawn]).float().mean(0)
    # 10 of 40 rows: the standard error over 2,000 seeds is .0097; all 40 stay within 4 of them but for p = .0025.
    assert (share - 0.25).abs().max() < 0.039


def test_blocks_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    halves(blocks(rows(1000), sizes=SIZES, blocks=1, seed=1)[0].pool, torch.zeros(120), pairs=2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("sizes", "count", "message"),
    [
        (
            SIZES,
            5,
            (
                "split: 5 disjoint blocks of 248 rows (2 x 60 train, 31 val, 50 test, 47 aux) are 1,240 rows, "
                "but the data have 1,000; the largest train that fits is 36"
            ),
        ),
        (
            SIZES,
            8,
            (
                "split: 8 disjoint blocks of 248 rows (2 x 60 train, 31 val, 50 test, 47 aux) are 1,984 rows, but the "
                "data have 1,000; no train fits: ask for fewer blocks, or for less of val, test and aux"
            ),
        ),
        (
            SplitSizes(train=0, val=-1, test=-2, aux=1),
            0,
            (
                "split: the size of val is -1; it must not be negative\n"
                "split: the size of test is -2; it must not be negative\n"
                "split: the size of train is 0; give it at least 1 row\n"
                "split: 0 blocks were asked for; ask for at least 1"
            ),
        ),
    ],
)
def test_impossible_sizes_are_an_error(sizes: SplitSizes, count: int, message: str) -> None:
    with pytest.raises(RequestError) as raised:
        blocks(rows(1000), sizes=sizes, blocks=count, seed=0)
    assert str(raised.value) == message


def test_the_largest_train_named_fits_and_one_more_does_not() -> None:
    data = rows(1000)
    assert len(blocks(data, sizes=replace(SIZES, train=36), blocks=5, seed=0)) == 5
    with pytest.raises(RequestError):
        blocks(data, sizes=replace(SIZES, train=37), blocks=5, seed=0)


def test_rows_of_one_class_are_an_error() -> None:
    data = rows(1000)
    with pytest.raises(RequestError) as raised:
        blocks(replace(data, y=torch.ones_like(data.y)), sizes=SIZES, blocks=1, seed=0)
    assert str(raised.value) == 'split: all 1,000 rows are of one class, "class 1"; a classifier needs two'


def test_two_models_of_a_pair_train_on_complementary_halves() -> None:
    data = rows(300, shares=(0.7, 0.2, 0.1))
    masks = halves(data.id, data.y, pairs=16, seed=3)
    assert masks.shape == (32, 300)
    assert masks.dtype == torch.bool
    assert torch.equal(masks[0::2], ~masks[1::2])
    assert (masks.sum(1) == 150).all()
    for k in range(3):
        assert ((masks[:, data.y == k].sum(1) - (data.y == k).sum() / 2).abs() <= 1).all()


def test_pairs_of_halves_are_independent() -> None:
    data = rows(200)
    first = halves(data.id, data.y, pairs=2000, seed=0)[0::2].float()
    # Within a class of n rows the correlation of two is about -1/(n - 1), at most -.03 here; its standard error over
    # 2,000 pairs is .022, and of 20,000 couples of rows none strays further than 5 of them.
    correlation = torch.corrcoef(first.T) - torch.eye(200)
    assert correlation.abs().max() < 0.14
    assert (first.mean(0) - 0.5).abs().max() < 5 * 0.5 / 2000**0.5


def test_a_class_of_an_odd_number_of_rows_is_not_favoured() -> None:
    y = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    share = halves(torch.arange(8), y, pairs=2000, seed=0)[0::2].float().mean(0)
    assert (share - 0.5).abs().max() < 5 * 0.5 / 2000**0.5


def test_halves_depend_on_the_ids_and_not_on_their_order() -> None:
    data = rows(300)
    order = torch.randperm(300)
    masks = halves(data.id, data.y, pairs=4, seed=1)
    assert torch.equal(halves(data.id[order], data.y[order], pairs=4, seed=1), masks[:, order])
    assert not torch.equal(halves(data.id, data.y, pairs=4, seed=2), masks)


@pytest.mark.parametrize(("size", "labels", "pairs"), [(5, 5, 1), (4, 3, 1), (4, 4, 0)])
def test_halves_that_cannot_be_are_an_error(size: int, labels: int, pairs: int) -> None:
    with pytest.raises(ValueError) as raised:
        halves(torch.arange(size), torch.zeros(labels, dtype=torch.int64), pairs=pairs, seed=0)
    assert str(raised.value) == (
        "halves need at least one pair, an even number of rows and a label for each, "
        f"not {pairs} pairs, {size} rows and {labels} labels"
    )
