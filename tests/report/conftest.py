"""What the tests of the report share: examples, whose module is no test and is found by its path"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """Give the module ``examples`` beside this file."""
    spec = importlib.util.spec_from_file_location("report_examples", Path(__file__).with_name("examples.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def results(examples: ModuleType):
    """Give the example of 6 rows and 4 columns, with failed and skipped cells and hostile texts."""
    return examples.example_results()


@pytest.fixture(scope="session")
def long_results(examples: ModuleType):
    """Give the example of 40 rows and 4 columns: to be searched, and too many to show each in full."""
    return examples.example_results(defenses=37)
