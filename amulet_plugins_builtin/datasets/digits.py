"""The handwritten digits that scikit-learn ships: 1,797 images of 8x8 pixels (Alpaydin and Kaynak, 1998; CC BY 4.0)."""

import torch
from sklearn.datasets import load_digits

from amulet_core.components import NoParams
from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible


def digits(params: NoParams) -> Data:  # noqa: ARG001 - there is nothing to set
    """Return the digits: x ``[1797, 1, 8, 8]`` counts the dark ones among 4x4 pixels (0 to 16), y is the digit."""
    pixels, labels = load_digits(return_X_y=True)
    schema = DataSchema(
        modality="image",
        shape=(1, 8, 8),
        classes=tuple(str(digit) for digit in range(10)),
        feasible=Feasible(low=0.0, high=16.0),
    )
    x = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return make_data(x, torch.as_tensor(labels, dtype=torch.int64), schema)
