"""What DP-SGD says where a row's gradient cannot be counted: what is in the way, whose it is, and what to do."""

from collections.abc import Iterable, Sequence

from torch import nn


def tied(names: Iterable[str]) -> None:
    """Raise a ValueError if there are weights that two layers share, by the names that the second has for them."""
    shared = [_place(name) for name in names]
    if shared:
        part, _ = shared[0]
        raise ValueError(
            f'dp-sgd: layers of the network "{part}" share weights ({_listed(weight for _, weight in shared)}), and a '
            "row's gradient is counted at one layer: choose another model, or give each layer weights of its own"
        )


def fixed_in_part(skeleton: nn.Module) -> None:
    """Raise a ValueError if a module has trained weights of its own, and fixed values in it or in its layers.

    In a skeleton whatever is fixed is a buffer.
    """
    for name, module in skeleton.named_modules():
        own = [leaf for leaf, _ in module.named_parameters(recurse=False)]
        fixed = [leaf for leaf, _ in module.named_buffers()]
        if own and fixed:
            part, layer = _place(f"{name}.")
            raise ValueError(
                f'dp-sgd: {_layer(layer)}the network "{part}" has trained weights of its own ({_listed(own)}) and '
                f"fixed values ({_listed(fixed)}), and a row's gradient is counted where a layer is trained as a "
                "whole: train both or neither, or put the trained weights in a layer of their own; or choose another "
                "model"
            )


def unreadable(module: nn.Module, *, inputs: int, rows: int) -> None:
    """Raise a ValueError if a network cannot be asked about so many inputs of so many rows at once."""
    if inputs % rows:
        raise ValueError(
            f"dp-sgd: the objective asks about {inputs} inputs of {rows} rows, expected as many of each row"
        )
    if any(isinstance(part, nn.modules.conv._ConvNd) for part in module.modules()):
        raise ValueError(
            "dp-sgd: the gradient of each row is clipped, and a convolution cannot read several inputs of a row at "
            "once: choose the model mlp or logistic, or a defense that asks about one input of each row"
        )


def asked_again(names: Sequence[str], asked: Sequence[str]) -> str:
    """Say that layers were called a second time: the objective asked twice, or the network uses a layer twice."""
    part, weight = _place(names[0])
    times = asked.count(part)
    if times > 1:
        return (
            f'dp-sgd: the objective asks the network "{part}" {times} times in a step, and a row\'s gradient is '
            "counted where a network is asked once: the defense that asks again is to take the answer that the wrapped "
            "objective asks for, look around on frozen, or join the inputs by torch.cat; until it does, leave it out"
        )
    layer = weight.rpartition(".")[0] or weight
    return (
        f'dp-sgd: the layer "{layer}" of the network "{part}" is called twice in a step (asked: {", ".join(asked)}), '
        "and a row's gradient is counted where a layer is called once: choose another model, or leave out the defense "
        "that asks for a view of the same layers; whoever wrote it can declare clippable=False, and it is refused "
        "beforehand"
    )


def not_counted(names: Sequence[str], asked: Sequence[str], *, viewed: bool) -> str:
    """Say that weights had no say through their layers: their network was not asked, or they were used by hand.

    ``viewed`` says that a view of the network "model" was asked.
    """
    part, _ = _place(names[0])
    weights = _listed(weight for name in names for where, weight in [_place(name)] if where == part)
    # A view goes by a name of its own, and is of the model.
    if part not in asked and not (part == "model" and viewed):
        return (
            f'dp-sgd: the objective leaves out the network "{part}" in this step, and all networks are clipped as one: '
            "the defense that adds it is to ask it in every step, with a factor of 0 where it has no say, or not to "
            "add it"
        )
    return (
        f'dp-sgd: no call of a layer in the network "{part}" counts for the losses of this step in {weights}, so that '
        "a row's gradient there is not known: choose another model; whoever wrote it is to leave out weights without "
        "use, and to call layers instead of taking their weights by hand, or to declare clippable=False"
    )


def drawing(names: Sequence[str]) -> str:
    """Say that a layer with weights of its own, one of those named, draws: it is run again to count the gradients."""
    return (
        f"dp-sgd: a layer with weights of its own draws at random in training (one of {_listed(names)}), and a row's "
        "gradient cannot be counted there: choose another model; whoever wrote it is to leave draws to layers without "
        "weights, such as nn.Dropout, or to declare clippable=False"
    )


def _place(name: str) -> tuple[str, str]:
    """Return the network's name and the weight's own, of a weight of the bundle (``parts.model.head.bias``)."""
    _, part, weight = name.split(".", 2)
    return part, weight


def _layer(name: str) -> str:
    return f'the layer "{name.rstrip(".")}" of ' if name else ""


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
