"""What is said of rows that are wrong, at the place where they cross a boundary."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from amulet_core.data import Data, checked
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.catalogue.datasets import PixelGroupParams
from amulet_plugins_builtin.datasets.digits import digits


def with_cell(data: Data, value: float) -> Data:
    x = data.x.clone()
    x[5, 0, 0, 0] = value
    return replace(data, x=x)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            lambda d: with_cell(d, float("nan")),
            "digits: x is not finite in 1 rows (ids [5]): fill or drop unknown values",
        ),
        (lambda d: with_cell(d, 17.0), "digits: x leaves its declared bounds in 1 rows (ids [5])"),
        (lambda d: d.take(torch.arange(0)), "digits: it has no rows"),
        (lambda d: replace(d, y=d.y + 1), "digits: y must lie in 0 .. 9, found 1 .. 10"),
        (lambda d: replace(d, id=d.id * 0), "digits: id must be unique"),
        (lambda d: replace(d, w=-d.w), "digits: w must be finite and not negative"),
        (
            lambda d: replace(d, x=d.x.double(), w=d.w[:, None]),
            (
                "digits: x is torch.float64 [1797, 1, 8, 8], expected torch.float32 [1797, 1, 8, 8]; "
                "w is torch.float32 [1797, 1], expected torch.float32 [1797]"
            ),
        ),
    ],
)
def test_wrong_rows_are_named_with_the_rule_they_break(broken, message: str) -> None:
    data = digits(PixelGroupParams())
    with pytest.raises(ValueError) as raised:
        checked(broken(data), whose="digits")
    assert str(raised.value) == message


def test_a_schema_of_a_single_class_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 2 items"):
        DataSchema(modality="tabular", shape=(1,), classes=("only",), feasible=Feasible(low=0, high=1))
