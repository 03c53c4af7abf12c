"""A victim as torchattacks wants one: a module over inputs in [0, 1], always ``[n, channels, height, width]``."""

from collections.abc import Callable

import torch
from amulet_core.data import bounds
from amulet_core.feasible import mutable
from amulet_core.games.evasion import EvasionView
from amulet_core.victims import ProbabilityOracle, WhiteBox
from torch import Tensor, nn

from amulet_plugin_torchattacks.use import Use


class Presented(nn.Module):
    """A victim over unit inputs, of which only the features that this budget can change have a gradient.

    Rows of a table stand as images of one pixel with a channel for each feature. Where three channels are needed, a
    grey image stands as three equal ones, and the victim sees their mean: the gradient is the same in all three.
    Logits are moved or added to as the attack requires; what stays the same is which class wins, and by how much.
    Nothing of the victim is registered here, so its mode and its parameters stay untouched.
    """

    def __init__(self, view: EvasionView, use: Use, *, epsilon: float) -> None:
        """Present the victim of ``view`` to the attack ``use`` at one budget.

        Raises:
            TypeError: if the view's model offers less than the attack needs.
        """
        super().__init__()
        low, high = bounds(view.data_schema)
        self.shape = view.data_schema.shape
        self.low, self.span = low, high - low
        self.free = mutable(view.data_schema, norm=view.norm, epsilon=epsilon)
        self.tripled = use.colour and self.shape[0] == 1
        self._ask, self._use = _asked(view, use), use
        # Attacks ask the first parameter for the device.
        self.device_of_this = nn.Parameter(torch.empty(0, device=view.x.device), requires_grad=False)

    def units(self, x: Tensor) -> Tensor:
        """Return rows ``[n, ...]`` as torchattacks sees them."""
        unit: Tensor = (x - self.low) / self.span
        if len(self.shape) == 1:
            return unit[:, :, None, None]
        return unit.repeat(1, 3, 1, 1) if self.tripled else unit

    def rows(self, units: Tensor) -> Tensor:
        """Return unit inputs as torchattacks gives them back in the shape of rows, still in units of the ranges."""
        grey: Tensor = units.mean(1, keepdim=True) if self.tripled else units
        return grey.reshape(-1, *self.shape)

    def forward(self, units: Tensor) -> Tensor:
        """Return logits ``[n, classes or more]`` (log-probabilities, in their place, differ by a constant)."""
        unit = self.rows(units)
        finite = torch.isfinite(unit).flatten(1).all(1)
        # Some attacks divide by a gradient of zero and go on with what that gives: a victim cannot be asked about it.
        asked = torch.where(finite.reshape(-1, *[1] * len(self.shape)), unit, torch.zeros_like(unit))
        logits = self._ask(self.low + torch.where(self.free, asked, asked.detach()) * self.span)
        logits = torch.where(finite[:, None], logits, torch.full_like(logits, torch.nan))
        if self._use.positive:
            # Not 0 but 1 above: a tie with the 0 that takes the true class's place would have its gradient.
            logits = logits - logits.detach().amin(1, keepdim=True) + 1
        lacking = self._use.compares - logits.shape[1]
        if lacking > 0:
            # As far below the last class as float32 tells apart in a softmax, and moving along with it.
            logits = torch.cat([logits, (logits.amin(1, keepdim=True) - 30).repeat(1, lacking)], 1)
        return logits


def _asked(view: EvasionView, use: Use) -> Callable[[Tensor], Tensor]:
    """Return the function that asks the view's model by the attack's access."""
    model = view.model
    if use.access == "white-box" and isinstance(model, WhiteBox):
        return model.logits
    if use.access == "probabilities" and isinstance(model, ProbabilityOracle):
        return model.log_probabilities
    if use.access == "none":
        return torch.zeros_like
    raise TypeError(f"torchattacks/{use.name.lower()} needs a view of its victim with {use.access} access")
