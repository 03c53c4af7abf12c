"""The example on debiasing and reconstruction: it resolves, and its three variants have the features that it says."""

import re
from pathlib import Path

import pytest

from amulet_core.configuration.reading import read, resolve
from amulet_core.discovery.registry import discover
from amulet_core.performing.ground import load_data

EXAMPLE = Path(__file__).parents[2] / "examples" / "fair-reconstruction.yaml"
VARIANTS = ["", *re.findall(r'--set "(.*)"', EXAMPLE.read_text())]


@pytest.mark.parametrize(("change", "features"), [*zip(VARIANTS, (10, 20, 30), strict=True)])
def test_each_variant_has_as_many_features_as_it_says_and_rows_enough(change, features):
    request = resolve(read(EXAMPLE, [change] if change else []), discover())
    data, rows = load_data(request), request.data
    assert data.schema.width == features
    assert len(data) >= request.seeds * (2 * rows.train + rows.val + rows.test + rows.aux)
