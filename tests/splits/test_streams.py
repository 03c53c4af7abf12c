"""Random streams: the same key gives the same stream, and nothing global is left changed."""

import random

import numpy as np
import pytest
import torch

from amulet_core.streams import generator, isolated, seed_of


def draws() -> tuple[list[float], list[float], float]:
    return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()  # noqa: NPY002 - it is what is isolated


def test_a_seed_is_the_start_of_the_keys_sha256() -> None:
    # sha256 of ["halves",3] begins with these 16 hexadecimal digits, computed by another program (sha256sum).
    assert seed_of("halves", 3) == int("992fe34a3a8caff0", 16) >> 1


@pytest.mark.parametrize("other", [("a", 1, 0), ("a", "1"), ("a",), ("a1",), (1, "a"), ("a", 2)])
def test_keys_that_differ_have_other_streams(other: tuple[str | int, ...]) -> None:
    assert seed_of(*other) != seed_of("a", 1)
    assert not torch.equal(torch.rand(4, generator=generator(*other)), torch.rand(4, generator=generator("a", 1)))


def test_a_generator_starts_anew_each_time_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    assert torch.equal(torch.rand(4, generator=generator("a")), torch.rand(4, generator=generator("a")))
    assert torch.equal(torch.get_rng_state(), before)


def test_isolated_calls_with_the_same_key_draw_the_same() -> None:
    with isolated("job", 1):
        first = draws()
    draws()
    with isolated("job", 1):
        assert draws() == first
    with isolated("job", 2):
        other = draws()
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_isolation_can_be_nested() -> None:
    with isolated("outer"):
        expected = (draws(), draws())
    with isolated("outer"):
        first = draws()
        with isolated("inner"):
            draws()
        assert (first, draws()) == expected


def spoil() -> None:
    """Change everything global that a component could change."""
    draws()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_grad_enabled(False)


def fail_spoiling() -> None:
    spoil()
    raise KeyError


def everything_global() -> tuple[object, ...]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the same
    return (
        torch.get_rng_state().tolist(),
        (name, keys.tolist(), *rest),
        random.getstate(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
    )


def test_everything_global_is_put_back() -> None:
    before = everything_global()
    with isolated("job"):
        spoil()
    assert everything_global() == before


def test_everything_global_is_put_back_when_the_body_raises() -> None:
    before = everything_global()
    with pytest.raises(KeyError), isolated("job"):
        fail_spoiling()
    assert everything_global() == before


def test_what_was_set_before_stays_set() -> None:
    with torch.no_grad(), isolated("job"):
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float64)
        with isolated("inner"):
            torch.set_default_dtype(torch.float16)
        assert torch.get_default_dtype() == torch.float64
        torch.set_default_device("meta")
        with isolated("inner"):
            torch.set_default_device("cpu")
        assert torch.get_default_device() == torch.device("meta")
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
