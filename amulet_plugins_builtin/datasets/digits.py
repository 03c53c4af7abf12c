"""The handwritten digits that scikit-learn ships: 1,797 images of 8x8 pixels (Alpaydin and Kaynak, 1998; CC BY 4.0)."""

import torch
from sklearn.datasets import load_digits

from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.catalogue.datasets import PixelGroupParams
from amulet_plugins_builtin.datasets.pixel_groups import pixel_groups


def digits(params: PixelGroupParams) -> Data:
    """Return the digits: x ``[1797, 1, 8, 8]`` counts the dark ones among 4x4 pixels (0 to 16), y is the digit."""
    pixels, labels = load_digits(return_X_y=True)
    x = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.as_tensor(labels, dtype=torch.int64)
    sensitive, z = pixel_groups(x, y, params)
    schema = DataSchema(
        modality="image",
        shape=(1, 8, 8),
        classes=tuple(str(digit) for digit in range(10)),
        sensitive=sensitive,
        feasible=Feasible(low=0.0, high=16.0),
    )
    return make_data(x, y, schema, z=z)
