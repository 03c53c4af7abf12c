"""What searches keep: what fools before what does not, and among equals what leads by more."""

import pytest
import torch

from amulet_plugins_builtin.evasion.found import Found, kept


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [
        ((-1.0, False), (-0.5, False), True),
        ((-0.5, False), (-1.0, False), False),
        ((-0.5, False), (-0.5, False), False),
        ((9.0, False), (0.1, True), True),
        ((0.1, True), (9.0, False), False),
        ((0.1, True), (0.2, True), True),
        ((0.2, True), (0.1, True), False),
    ],
)
def test_the_better_input_is_kept(before, after, taken):
    x = torch.zeros(3, 2)
    found = Found(x, torch.tensor([0.0, before[0], 0.0]), torch.tensor([False, before[1], False]))
    other = Found(torch.ones(1, 2), torch.tensor([after[0]]), torch.tensor([after[1]]))
    now = kept(found, torch.tensor([1]), other)
    lead, fooled = after if taken else before
    assert now.x.tolist() == [[0, 0], [1, 1] if taken else [0, 0], [0, 0]]
    assert now.lead.tolist() == pytest.approx([0, lead, 0])
    assert now.fooled.tolist() == [False, fooled, False]
    assert torch.equal(found.x, torch.zeros(3, 2))
