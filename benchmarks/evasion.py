"""Our gradient attacks beside those of torchattacks: the robust accuracy each leaves on the same model, and the time.

Run it as ``python benchmarks/evasion.py`` with amulet-plugin-torchattacks installed. Robust accuracy is the judge of
strength (ours should leave no more, within half a point); of the seconds read the ratios.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from amulet_core.components import Params
from amulet_core.data import Data
from amulet_core.discovery.registry import Registry, discover
from amulet_core.games.evasion import EvasionAnswer, EvasionView
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams, TrainingContext
from amulet_core.victims import WhiteBox, logits_of
from amulet_core.vocabulary import Norm
from amulet_plugins_builtin.catalogue.evasion import AdversarialTrainingParams, PgdParams
from amulet_plugins_builtin.catalogue.evasion_attacks import ApgdParams
from amulet_plugins_builtin.evasion import apgd, pgd

STEPS = 40
BUDGETS: tuple[tuple[Norm, float], ...] = (("linf", 0.1), ("l2", 0.8))


class Outcome(NamedTuple):
    """What one attack left of the accuracy, in percent, and its seconds."""

    left: float
    seconds: float


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each model, defense and norm: what each attack leaves, and how the times compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500, help="test rows that are attacked")
    parser.add_argument("--epochs", type=int, default=20, help="passes over 1,000 training rows")
    parser.add_argument("--seeds", type=int, default=3, help="models of each kind, whose results are averaged")
    sizes = parser.parse_args(argv)
    torch.set_num_threads(1)
    registry = discover(select="torchattacks")
    theirs = {name: attack_of(registry, f"torchattacks/{name}") for name in ("pgd", "pgdl2", "apgd")}
    print(f"digits, {sizes.rows} rows, {sizes.seeds} models each, {STEPS} steps, 1 climb, 1 thread; robust accuracy, %")
    print("(a single climb of our pgd starts at the row itself, that of theirs at a random point)")
    print(f"{'':38}  clean  pgd: ours  theirs  time x  apgd: ours  theirs  time x")
    for model in ("mlp", "cnn"):
        for defense in ((), ("adversarial-training",)):
            for norm, epsilon in BUDGETS:
                row = [
                    compared(registry, model, defense, norm, epsilon, seed=seed, sizes=sizes, theirs=theirs)
                    for seed in range(sizes.seeds)
                ]
                show(f"{model}, {' '.join(defense) or 'no defense'}, {norm} {epsilon:g}", row)


def compared(
    registry: Registry,
    model: str,
    defense: Sequence[str],
    norm: Norm,
    epsilon: float,
    *,
    seed: int,
    sizes: argparse.Namespace,
    theirs: dict[str, Callable[..., Callable[[EvasionView], EvasionAnswer]]],
) -> tuple[float, list[Outcome]]:
    """Return the clean accuracy of one model, and the outcomes: our PGD and theirs, our APGD and theirs."""
    train, test = drawn(registry, rows=sizes.rows, seed=seed)
    victim = trained(registry, model, defense, train, norm=norm, epsilon=epsilon, seed=seed, epochs=sizes.epochs)
    plain = theirs["pgd" if norm == "linf" else "pgdl2"]
    attacks = (
        partial(pgd.attack, params=PgdParams(steps=STEPS, restarts=1)),
        plain(steps=STEPS, relative_step=2.5 / STEPS, random_start=True),
        partial(apgd.attack, params=ApgdParams(steps=STEPS)),
        theirs["apgd"](steps=STEPS),
    )
    clean = float((logits_of(victim, test.x).argmax(1) == test.y).double().mean()) * 100
    return clean, [outcome(attack, victim, test, norm=norm, epsilon=epsilon) for attack in attacks]


def outcome(
    attack: Callable[[EvasionView], EvasionAnswer], victim: nn.Module, test: Data, *, norm: Norm, epsilon: float
) -> Outcome:
    """Play one attack and judge it on the victim."""
    view = EvasionView(
        model=WhiteBox(victim), x=test.x, y=test.y, norm=norm, epsilons=(epsilon,), data_schema=test.schema
    )
    with isolated("benchmark"):
        start = time.perf_counter()
        answer = attack(view)
        seconds = time.perf_counter() - start
    right = logits_of(victim, test.x).argmax(1) == test.y
    left = right & (logits_of(victim, answer.x[0]).argmax(1) == test.y)
    return Outcome(float(left.double().mean()) * 100, seconds)


def attack_of(registry: Registry, name: str) -> Callable[..., Callable[[EvasionView], EvasionAnswer]]:
    """Return the function from settings to one of torchattacks' attacks."""
    entry = registry.find("attack", name)
    params: type[Params] = entry.component.params
    return lambda **settings: partial(entry.load(), params=params(**settings))


def drawn(registry: Registry, *, rows: int, seed: int) -> tuple[Data, Data]:
    """Return 1,000 training rows and as many test rows as asked for, drawn with a seed."""
    entry = registry.find("dataset", "digits")
    data: Data = entry.load()(entry.component.params())
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data.take(order[:1000]), data.take(order[1000 : 1000 + rows])


def trained(
    registry: Registry,
    model: str,
    defense: Sequence[str],
    train: Data,
    *,
    norm: Norm,
    epsilon: float,
    seed: int,
    epochs: int,
) -> nn.Module:
    """Return a model trained with or without the defense, which learns at the budget of the attack."""
    settings = TrainingSettings(epochs=epochs, batch_size=64)
    context = TrainingContext(rows=len(train), schema=train.schema, settings=settings, chain=tuple(defense))
    build = registry.find("model", model)
    architecture = build.load()
    training = plain_training(
        lambda: architecture(build.component.params(), train.schema), settings, stackable=model == "mlp"
    )
    for name in defense:
        params = AdversarialTrainingParams(norm=norm, epsilon=epsilon)
        training = registry.find("defense", name).load()(training, params, context)
    fitted = training.fit(training, [train], [train], [Streams(("benchmark", seed))])
    return fitted[0].model.eval()


def show(label: str, rows: Sequence[tuple[float, list[Outcome]]]) -> None:
    """Print the averages of one line."""
    clean = sum(row[0] for row in rows) / len(rows)
    means = [
        [sum(part) / len(part) for part in zip(*column, strict=True)]
        for column in zip(*(r[1] for r in rows), strict=True)
    ]
    (ours, took), (other, their), (adaptive, took_it), (other_it, their_it) = means
    print(
        f"{label:38}  {clean:5.1f}  {ours:9.1f}  {other:6.1f}  {took / their:6.2f}"
        f"  {adaptive:10.1f}  {other_it:6.1f}  {took_it / their_it:6.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
