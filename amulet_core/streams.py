"""Random streams derived from keys, and the isolation of the global generators around every call into a component."""

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_of(*key: str | int) -> int:
    """Return the 63-bit seed of a key: the first bytes of the SHA-256 of the key as canonical JSON.

    Keys differ when any part differs in value or in type (``"1"`` is not ``1``), so streams of different keys are
    independent, on every platform.
    """
    return int.from_bytes(_digest(key)[:8], "big") >> 1


def generator(*key: str | int) -> torch.Generator:
    """Return a new CPU generator at the start of the key's stream."""
    return torch.Generator().manual_seed(seed_of(*key))


@contextmanager
def isolated(*key: str | int) -> Iterator[None]:
    """Seed the global generators (torch, numpy, random) from a key; afterwards put everything global back.

    Put back, also when the body raises: the states of the generators, the default dtype and device, the number of
    threads, and the grad mode.
    """
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - it is what is isolated
    devices = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)  # counting looks for the driver
    with torch.random.fork_rng(devices=devices):
        try:
            _seed_globals(key)
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002 - the same
            random.setstate(python_state)
            torch.set_grad_enabled(grad)
            torch.set_default_dtype(dtype)
            _restore_device(device)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


def _digest(key: tuple[str | int, ...]) -> bytes:
    return hashlib.sha256(json.dumps(key, separators=(",", ":")).encode()).digest()


def _seed_globals(key: tuple[str | int, ...]) -> None:
    # Not torch.manual_seed: for every kind of device that is not there it notes a stack trace, 0.2 ms in all.
    torch.default_generator.manual_seed(seed_of(*key))
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed_of(*key))
    np.random.seed(np.frombuffer(_digest(key), dtype=">u4"))  # noqa: NPY002 - the same
    random.seed(_digest(key))


def _restore_device(device: torch.device) -> None:
    """Set the default device only if it was changed: setting it makes every later call of torch slower."""
    if torch.get_default_device() != device:
        torch.set_default_device(None if device.type == "cpu" else device)
