"""Training 10 models as one stack, beside training them one after the other, by architecture and defense.

Run it as ``python benchmarks/training.py``; read the ratios, which one run on one machine makes comparable.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence

import torch
from pydantic import BaseModel

from amulet_core.data import Data
from amulet_core.discovery.registry import Registry, discover
from amulet_core.settings import TrainingSettings
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams, Training, TrainingContext

CHAINS: tuple[tuple[str, ...], ...] = ((), ("adversarial-training",), ("dp-sgd",), ("adversarial-training", "dp-sgd"))


def main(argv: Sequence[str] | None = None) -> None:
    """Print, for each architecture and chain, the seconds a model takes in either way, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=10, help="how many models a stack has")
    parser.add_argument("--rows", type=int, default=1000, help="training rows of each model")
    parser.add_argument("--epochs", type=int, default=3, help="passes over them")
    sizes = parser.parse_args(argv)
    torch.set_num_threads(1)
    registry = discover(select="")
    print(f"{sizes.models} models, {sizes.rows} rows, {sizes.epochs} epochs, batches of 64, 1 thread")
    print(f"{'':45}  stacked  one by one  faster by  over plain")
    for model, dataset in (("mlp", "adult"), ("cnn", "digits")):
        rows = drawn(registry, dataset, models=sizes.models, rows=sizes.rows)
        plain = 0.0
        for chain in CHAINS:
            training = chained(registry, model, chain, data=rows[0], epochs=sizes.epochs)
            alone = seconds(dataclasses.replace(training, stackable=False), rows) / sizes.models
            plain = plain or alone
            label = f"{model} on {dataset}: {' + '.join(chain) or 'no defense'}"
            print(f"{label:45}  {stacked_figures(training, rows, alone)}  {alone / plain:8.1f} x", flush=True)


def drawn(registry: Registry, dataset: str, *, models: int, rows: int) -> list[Data]:
    """Return the training rows of each model, drawn with a fixed seed."""
    entry = registry.find("dataset", dataset)
    data: Data = entry.load()(entry.component.params())
    draws = torch.Generator().manual_seed(0)
    return [data.take(torch.randperm(len(data), generator=draws)[:rows]) for _ in range(models)]


def chained(registry: Registry, model: str, chain: Sequence[str], *, data: Data, epochs: int) -> Training:
    """Return the training of ``model`` under a chain of defenses with their default settings, marked stackable."""
    settings = TrainingSettings(epochs=epochs, batch_size=64)
    context = TrainingContext(rows=len(data), schema=data.schema, settings=settings, chain=tuple(chain))
    entry = registry.find("model", model)
    build: Callable[[BaseModel, object], torch.nn.Module] = entry.load()
    training = plain_training(lambda: build(entry.component.params(), data.schema), settings, stackable=True)
    for name in chain:
        defense = registry.find("defense", name)
        training = defense.load()(training, defense.component.params(), context)
    return training


def stacked_figures(training: Training, rows: Sequence[Data], alone: float) -> str:
    """Return the seconds a model takes in a stack and how much faster that is than ``alone``, or that it cannot be."""
    if not training.gradient.stackable:
        return f"{'never':>7}  {alone:8.3f} s  {'-':>9}"
    stacked = seconds(training, rows) / len(rows)
    return f"{stacked:5.3f} s  {alone:8.3f} s  {alone / stacked:7.1f} x"


def seconds(training: Training, rows: Sequence[Data]) -> float:
    """Return how long training on ``rows`` takes, after a warm-up of one epoch for the first two models."""
    streams = [Streams(("benchmark", index)) for index in range(len(rows))]
    warm = dataclasses.replace(training, settings=training.settings.model_copy(update={"epochs": 1}))
    warm.fit(warm, rows[:2], rows[:2], streams[:2])
    start = time.perf_counter()
    training.fit(training, rows, rows, streams)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
