"""Who trains on what: balanced shadow models that say nothing of the victim's own rows."""

from itertools import product

import pytest
import torch

from amulet_core.performing.splits import halves
from amulet_core.planning.layout import Layout, Place


@pytest.mark.parametrize(("design", "seeds", "shadows"), [*product(["crossed", "disjoint"], [1, 2, 5], [0, 2, 8])])
def test_each_victim_has_the_shadow_models_asked_for_and_not_its_partner(design: str, seeds: int, shadows: int) -> None:
    layout = Layout(design, seeds, shadows)
    for seed in range(seeds):
        victim, places = layout.victim(seed), layout.shadows(seed)
        assert len(set(places)) == shadows
        assert {place.block for place in places} <= {victim.block}
        assert all(place.index // 2 != victim.index // 2 for place in places)
        assert {victim, *places} <= set(layout.places())
        assert max(place.index for place in layout.places()) < 2 * layout.pairs
        assert victim.block < layout.blocks


@pytest.mark.parametrize("design", ["crossed", "disjoint"])
def test_no_two_seeds_have_the_same_victim(design: str) -> None:
    layout = Layout(design, 5, 8)
    assert len({layout.victim(seed) for seed in range(5)}) == 5


def test_crossed_seeds_train_ten_models_where_disjoint_ones_train_forty_five() -> None:
    assert len(Layout("crossed", 5, 8).places()) == 10
    assert len(Layout("disjoint", 5, 8).places()) == 45


def test_only_shared_rows_widen_the_intervals() -> None:
    """Half of a shared pool trains each model and the other half is held out: Nadeau and Bengio's n2 / n1 is 1."""
    assert (Layout("crossed", 5, 8).overlap, Layout("disjoint", 5, 8).overlap) == (1.0, 0.0)


def test_without_shadow_models_only_victims_are_trained() -> None:
    assert Layout("crossed", 3, 0).places() == (Place(0, 0), Place(0, 2), Place(0, 4))


def test_each_candidate_is_in_for_exactly_half_of_the_shadow_models_whatever_the_victim_trained_on() -> None:
    layout = Layout("crossed", 5, 8)
    members = halves(torch.arange(200), torch.arange(200) % 2, pairs=layout.pairs, seed=0)
    for seed in range(5):
        counts = members[[place.index for place in layout.shadows(seed)]].sum(0)
        assert torch.equal(counts, torch.full((200,), 4))
