"""What makes two runs alike: rows, code, libraries, processor; whatever differs is seen, and said in words."""

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from amulet_core.components import Defense, Params
from amulet_core.data import make_data
from amulet_core.discovery.entries import Entry
from amulet_core.errors import RequestError
from amulet_core.planning.facts import facts_of, recalled_facts, remember_facts
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.storage import fingerprint
from amulet_core.storage.fingerprint import capability, code_of, differences, environment, packages_of
from amulet_core.storage.store import Store, Stored


class Named(Params):
    """Settings that name a file."""

    path: str


@pytest.fixture
def data():
    sensitive = (Sensitive(name="sex", categories=("f", "m")),)
    schema = DataSchema(
        modality="tabular",
        shape=(3,),
        classes=("no", "yes"),
        sensitive=sensitive,
        feasible=Feasible(low=-4.0, high=4.0),
    )
    y = torch.arange(8) % 2
    return make_data(torch.linspace(-1, 1, 24).reshape(8, 3), y, schema, z=y[:, None])


@pytest.mark.parametrize("name", ["x", "y", "z", "w", "id"])
def test_one_other_value_makes_other_facts(data, name):
    before = facts_of(data)
    assert (before.rows, before.data_schema) == (8, data.schema)
    assert facts_of(replace(data, **{name: getattr(data, name).clone()})) == before
    other = getattr(data, name).clone()
    other.view(-1)[5] += 1
    assert facts_of(replace(data, **{name: other})).content != before.content


def test_the_order_of_rows_is_a_fact(data):
    assert facts_of(data.take(torch.arange(7, -1, -1))).content != facts_of(data).content


@pytest.mark.parametrize(
    "other",
    [
        {"classes": ("no", "maybe")},
        {"features": ("a", "c", "b")},
        {"sensitive": (Sensitive(name="sex", categories=("m", "f")),)},
        {"feasible": Feasible(low=-4.0, high=5.0)},
        {"feasible": Feasible(low=-4.0, high=4.0, immutable=(0,))},
    ],
)
def test_other_names_or_bounds_of_the_same_values_make_other_facts(data, other):
    before = facts_of(replace(data, schema=data.schema.model_copy(update={"features": ("a", "b", "c")})))
    after = facts_of(replace(data, schema=before.data_schema.model_copy(update=other)))
    assert after.content != before.content


def test_facts_are_recalled_where_they_were_remembered(data, tmp_path):
    use = SimpleNamespace(
        canonical=lambda: {"name": "made/up"},
        entry=SimpleNamespace(component=SimpleNamespace(version="1", targets=("json:loads",)), module="json"),
        params=Named(path=str(tmp_path / "rows.csv")),
    )
    (tmp_path / "rows.csv").write_text("1,2")
    request, store, facts = SimpleNamespace(dataset=use, root_seed=0), Store(tmp_path), facts_of(data)
    assert recalled_facts(store, request) is None
    remember_facts(store, request, facts)
    assert recalled_facts(store, request) == facts
    assert recalled_facts(store, SimpleNamespace(dataset=use, root_seed=1)) is None
    (tmp_path / "rows.csv").write_text("1,2,3")
    assert recalled_facts(store, request) is None
    (tmp_path / "rows.csv").unlink()
    assert recalled_facts(store, request) is None
    (tmp_path / "rows.csv").write_text("1,2,3")
    remember_facts(store, request, facts)
    assert recalled_facts(store, request) == facts
    use.params = Named(path="x" * 5000)  # no file has such a name, and asking for it is no error
    assert recalled_facts(store, request) is None
    use.params = Named(path=str(tmp_path / "rows.csv"))
    for key in list(store.keys()):
        store.put(key, Stored({"rows": "of another version"}, b""))
    assert recalled_facts(store, request) is None


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Give a package that raises when it is imported."""
    folder = tmp_path / "made_package"
    (folder / "within").mkdir(parents=True)
    for name in ("__init__.py", "part.py", "within/part.py"):
        (folder / name).write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.mark.parametrize("name", ["__init__.py", "part.py", "within/part.py"])
def test_one_byte_of_one_file_makes_other_code_and_nothing_is_imported(package, name):
    before = code_of("made_package")
    assert code_of("made_package") == before
    text = (package / name).read_text()
    (package / name).write_text(text.replace("imported", "imparted"))
    assert code_of("made_package") != before
    (package / name).write_text(text)
    assert code_of("made_package") == before
    assert "made_package" not in sys.modules


def test_a_file_more_or_under_another_name_makes_other_code(package):
    before = code_of("made_package")
    (package / "part.py").rename(package / "port.py")
    renamed = code_of("made_package")
    (package / "part.py").write_text("")
    assert len({before, renamed, code_of("made_package")}) == 3


def test_what_is_no_python_file_is_no_code(package):
    before = code_of("made_package")
    (package / "notes.txt").write_text("notes")
    assert code_of("made_package") == before


def test_a_module_that_is_no_package_has_code_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "made_module.py").write_text("raise RuntimeError\n")
    before = code_of("made_module")
    (tmp_path / "made_module.py").write_text("raise ValueError\n")
    assert code_of("made_module") != before


def test_code_that_was_edited_since_it_was_imported_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "made_living.py").write_text("strength = 1\n")
    monkeypatch.setitem(sys.modules, "made_living", __import__("made_living"))
    before = code_of("made_living")
    assert code_of("made_living") == before
    (tmp_path / "made_living.py").write_text("strength = 2\n")
    with pytest.raises(RequestError) as error:
        code_of("made_living")
    assert str(error.value) == (
        "the code of made_living was edited since this process imported it, so its results would be kept as those of the "
        "new code: start Python again."
    )
    monkeypatch.delitem(sys.modules, "made_living")
    assert code_of("made_living") != before


def test_the_code_of_a_component_is_that_of_its_targets_and_of_its_descriptor():
    defense = Defense(
        name="split",
        summary="Has its parts in several packages",
        target="one.part:function",
        stages={"data": "one.part:function", "model": "two:function"},
        risk="evasion",
    )
    entry = Entry(defense, plugin="xyz", distribution="d", version="1", module="three.catalogue")
    assert packages_of(entry) == ("three", "one", "two")


@pytest.fixture
def core(tmp_path, monkeypatch):
    """Let a folder stand in for the core's own package."""
    for name in ("plan.py", "report/page.py", "commands/cli.py", "matrix/tables.py"):
        (tmp_path / "core" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "core" / name).write_text("")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "core")], origin=None)
    monkeypatch.setattr(fingerprint, "find_spec", lambda _name: spec)
    monkeypatch.setattr(fingerprint, "sys", SimpleNamespace(modules={}))  # nothing is noted on the real one
    return tmp_path / "core"


@pytest.mark.parametrize("shown", ["report/page.py", "commands/cli.py", "matrix/tables.py"])
def test_editing_what_shows_results_costs_no_training_and_editing_anything_else_does(core, shown):
    before = code_of("amulet_core")
    (core / shown).write_text("# edited")
    assert code_of("amulet_core") == before
    (core / "plan.py").write_text("# edited")
    assert code_of("amulet_core") != before


@pytest.mark.parametrize("given", [None, "default", "avx2", "AVX2", "avx512", "nonsense"])
def test_the_processor_is_what_torch_takes_it_for(given):
    own = {name: value for name, value in os.environ.items() if name != "ATEN_CPU_CAPABILITY"}
    if given == "avx512" and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        pytest.skip("torch would be told to use instructions that this processor lacks")
    code = """
from amulet_core.storage.fingerprint import capability
import sys
found = capability()
assert "torch" not in sys.modules
import torch
print(found, torch.backends.cpu.get_cpu_capability())
"""
    told = own if given is None else own | {"ATEN_CPU_CAPABILITY": given}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=told, check=True
    )
    found, expected = done.stdout.split()
    assert found == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx512f avx512vl avx512bw avx512dq fma avx2", "AVX512"),
        ("avx512f avx512vl avx512bw avx2 fma", "AVX2"),
        ("avx2 fma", "AVX2"),
        ("avx2", "DEFAULT"),
        ("sse", "DEFAULT"),
    ],
)
def test_the_flags_of_a_processor_say_what_it_can_do(monkeypatch, flags, expected):
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    text = f"processor : 0\nflags\t\t: {flags}\n\nprocessor : 1\n"
    monkeypatch.setattr(fingerprint.Path, "read_text", lambda *_given, **_named: text)
    assert capability() == expected


def test_results_depend_on_the_code_of_the_core_the_numeric_libraries_the_processor_and_the_device(monkeypatch):
    monkeypatch.setattr(fingerprint, "version", lambda name: f"version of {name}")
    monkeypatch.setattr(fingerprint, "code_of", lambda package: f"code of {package}")
    monkeypatch.setattr(fingerprint, "capability", lambda: "NEON")
    monkeypatch.setattr(fingerprint.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(fingerprint.platform, "python_version_tuple", lambda: ("3", "99", "7"))
    libraries = ("numpy", "torch", "scipy", "scikit-learn", "pandas", "opacus", "fairlearn")
    assert environment() == {name: f"version of {name}" for name in libraries} | {
        "amulet": "code of amulet_core",
        "python": "3.99",
        "processor": "arm64 NEON",
        "device": "cpu",
    }


def test_what_two_environments_have_not_in_common_is_said_in_words():
    here = environment()
    assert differences(here, here) == []
    there = here | {"torch": "0.1", "amulet": "f" * 64, "processor": "arm64 NEON"}
    del there["scipy"]
    assert differences(here, there) == [
        f"the code of amulet_core is {here['amulet'][:12]} here and ffffffffffff there",
        f"torch is {here['torch']} here and 0.1 there",
        f"scipy is {here['scipy']} here and absent there",
        f"the processor is {here['processor']} here and arm64 NEON there",
    ]
    assert differences({}, {"jax": "1"}) == ["jax is absent here and 1 there"]
