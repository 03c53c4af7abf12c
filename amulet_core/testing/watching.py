"""Calling into a component while watching what it touches: its inputs, global settings, and the global generators."""

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from amulet_core.streams import isolated

_OPAQUE = re.compile(r"^(\w+) \d+$")


@dataclass(frozen=True)
class Watched:
    """What came of a call: its value (None if it raised ``error``), and what it changed.

    ``changed`` names the parts of its inputs that are not what they were, ``settings`` the global settings with both
    values; ``generators`` holds the state of each global generator at the end of the call, as a digest.
    """

    value: Any
    error: BaseException | None
    changed: tuple[str, ...]
    settings: tuple[str, ...]
    generators: Mapping[str, str]


def watch(call: Callable[[], Any], *, key: tuple[str | int, ...], things: Mapping[str, Any]) -> Watched:
    """Call with the global generators seeded from ``key``, as a run does, and compare ``things`` before and after."""
    before = fingerprints(things)
    value, error = None, None
    with isolated(*key):
        settings = global_settings()
        try:
            value = call()
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # noqa: BLE001 - a plugin may raise anything, and the check reports it
            error = raised
        now, generators = global_settings(), generator_states()
    return Watched(
        value=value,
        error=error,
        changed=differing(before, fingerprints(things)),
        settings=tuple(f"{name} ({settings[name]}, then {now[name]})" for name in differing(settings, now)),
        generators=generators,
    )


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys whose values differ, or that only one of the two has."""
    return tuple(name for name in {**one, **other} if one.get(name) != other.get(name))


def fingerprints(things: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of every part of ``things`` (tensors, modules, rows, artifacts, mappings, ...) by its place."""
    return {place: digest for label, thing in things.items() for place, digest in _parts(label, thing)}


def contents(value: Any) -> dict[str, str]:
    """Return a digest of every part of a result, by its place; of functions and the like only their type."""
    return {place: _OPAQUE.sub(r"\1", digest) for place, digest in fingerprints({"the result": value}).items()}


def global_settings() -> dict[str, str]:
    """Return the settings of the process that a component must leave as they are."""
    return {
        "the default dtype": str(torch.get_default_dtype()),
        "the default device": str(torch.get_default_device()),
        "the number of threads": str(torch.get_num_threads()),
        "the grad mode": str(torch.is_grad_enabled()),
        "deterministic algorithms": str(torch.are_deterministic_algorithms_enabled()),
        "anomaly detection": str(torch.is_anomaly_enabled()),
        "cudnn.benchmark": str(torch.backends.cudnn.benchmark),
        "cudnn.deterministic": str(torch.backends.cudnn.deterministic),
        "numpy's error handling": str(np.geterr()),
        "the working folder": str(Path.cwd()),
    }


def generator_states() -> dict[str, str]:
    """Return a digest of the state of each global generator."""
    numpy_state = np.random.get_state()  # noqa: NPY002 - it is what is watched
    return {
        "torch": _digest(torch.get_rng_state().numpy().tobytes()),
        "numpy": _digest(repr((numpy_state[1].tolist(), *numpy_state[2:])).encode()),  # type: ignore[index]
        "random": _digest(repr(random.getstate()).encode()),
    }


def _parts(label: str, thing: Any) -> Iterator[tuple[str, str]]:
    inner = _inner(label, thing)
    if isinstance(thing, Tensor):
        yield label, _tensor(thing)
    elif isinstance(thing, nn.Module):
        yield from _module_parts(label, thing)
    elif inner is not None:
        yield f"the size of {label}", str(len(inner))
        for place, value in inner.items():
            yield from _parts(place, value)
    elif thing is None or isinstance(thing, str | int | float | bool):
        yield label, repr(thing)
    else:
        # Functions and oracles have no content to compare: all that can be seen is whether they were exchanged.
        yield label, f"{type(thing).__name__} {id(thing)}"


def _inner(label: str, thing: Any) -> dict[str, Any] | None:
    """Return the values that a thing is made of by their places (None: it is no container)."""
    if isinstance(thing, BaseModel):
        return {f"{name} of {label}": getattr(thing, name) for name in type(thing).model_fields}
    if is_dataclass(thing) and not isinstance(thing, type):
        return {f"{field.name} of {label}": getattr(thing, field.name) for field in fields(thing)}
    if isinstance(thing, Mapping):
        return {f"{name} of {label}": value for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return {f"item {index} of {label}": value for index, value in enumerate(thing)}
    return None


def _module_parts(label: str, module: nn.Module) -> Iterator[tuple[str, str]]:
    for name, value in module.named_parameters():
        yield f"parameter {name} of {label}", _tensor(value)
        yield f"requires_grad of parameter {name} of {label}", str(value.requires_grad)
        yield f"grad of parameter {name} of {label}", "none" if value.grad is None else _tensor(value.grad)
    for name, buffer in module.named_buffers():
        yield f"buffer {name} of {label}", _tensor(buffer)
    for name, part in module.named_modules():
        place = f"{name} of {label}" if name else label
        yield f"the mode of {place}", "train" if part.training else "eval"
        hooks = [kind for kind in vars(part) if kind.endswith("_hooks") and vars(part)[kind]]
        yield f"the hooks of {place}", repr(hooks)


def _tensor(value: Tensor) -> str:
    content = value.detach().cpu().contiguous()
    return f"{content.dtype} {list(content.shape)} {_digest(content.numpy().tobytes())}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
