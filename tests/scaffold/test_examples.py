"""Every example that ``amulet new`` writes keeps the rules, has the power of its kind, and comes with a run that fits."""

import ast
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from unittest import SkipTest

import pytest
import torch

from amulet_core import __version__
from amulet_core.api import run
from amulet_core.configuration.reading import read, resolve
from amulet_core.discovery.registry import Registry
from amulet_core.games import attribute
from amulet_core.games.distribution import DistributionResult
from amulet_core.games.evasion import EvasionView
from amulet_core.games.membership import MembershipResult
from amulet_core.games.table import GAMES
from amulet_core.games.threats import AttributeThreat
from amulet_core.performing.ground import load_data
from amulet_core.planning.facts import facts_of
from amulet_core.planning.plan import plan
from amulet_core.scaffold.command import LONGEST, new_plugin
from amulet_core.scaffold.examples import KINDS, SCENES, example_of, has_template, risks_of, template_text
from amulet_core.scaffold.project import Draft, project_files
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.testing import planted_attributes, plugin_checks
from amulet_core.testing.toys import SETTINGS, TABLE, TOYS
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Batch, TrainingContext
from amulet_core.victims import WhiteBox
from amulet_core.vocabulary import COLUMNS, RISKS

ROOT = Path(__file__).parents[2]
EVERY = [Draft(kind, f"my-{kind}", risk) for kind in KINDS for risk in risks_of(kind) or ("",)]
DIFFERENT = list({(example_of(d.kind, d.risk), d.kind == "metric" and d.risk): d for d in reversed(EVERY)}.values())
INSTALLED = {Draft(kind, f"my-{kind}", "evasion" if risks_of(kind) else "") for kind in KINDS}
"""What ``test_installed`` installs, where its own tests are run."""


def called(draft):
    return " ".join(filter(None, (draft.kind, draft.risk)))


@pytest.mark.parametrize("draft", [d for d in DIFFERENT if d not in INSTALLED], ids=called)
def test_every_example_passes_the_conformance_kit_and_its_own_checks(write, draft):
    made = write(draft.kind, draft.name, draft.risk or None)
    checks = plugin_checks(made.name, registry=made.registry)
    for check in checks:
        run_whole(check)
    assert (len(checks) > 10, made.entry.risk or "") == (True, draft.risk)


def run_whole(check):
    """Run a check that may not be left out."""
    try:
        check.run()
    except SkipTest as error:
        pytest.fail(f"{check}: {error}")


LAYOUTS = {"one after the other": torch.cat, "on an axis of their own": lambda inputs: torch.stack(inputs, 1)}
DEFENSES = [Draft("defense", "my-defense", risk) for risk in ("evasion", "membership-inference")]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("draft", DEFENSES, ids=called)
def test_a_defense_takes_the_mean_over_the_inputs_of_a_row(write, draft, layout):
    made = write(draft.kind, draft.name, draft.risk)
    train, schema = made.entry.load(), TABLE
    x = torch.rand(5, *schema.shape)
    y, z = torch.tensor([0, 1, 1, 0, 1]), torch.zeros(5, 1, dtype=torch.int64)
    network = torch.nn.Linear(schema.width, 2)

    def losses(inputs):
        def asking(call, frozen, batch):
            call(inputs(batch.x))
            return torch.zeros(len(batch.y))

        context = TrainingContext(rows=5, schema=schema, settings=SETTINGS)
        training = replace(plain_training(lambda: network, SETTINGS, stackable=True), objective=asking)
        changed = train(training, made.entry.component.params(), context)
        draws = {draw.name: torch.zeros_like(x) for draw in changed.draws}
        call = lambda x, part="model": network(x)  # noqa: E731
        return changed.objective(call, call, Batch(x, y, z, torch.arange(5.0), draws))

    once, again = losses(lambda x: x), losses(lambda x: LAYOUTS[layout]([x, x, x]))
    torch.testing.assert_close(again, once)
    assert draft.risk == "evasion" or once[1:].abs().min() > 0.01


def test_the_tutorial_averages_over_inputs_as_the_example_does():
    def averaging(text):
        return text.partition("def of_each_row")[2].partition("\n```")[0].strip()

    tutorial = (ROOT / "docs" / "plugins" / "tutorial-defense.md").read_text()
    assert averaging(tutorial) == averaging(template_text("defense-confidence.code.tmpl")) != ""


def test_what_the_kit_cannot_check_comes_with_checks_of_its_own():
    without = {example for example in (example_of(d.kind, d.risk) for d in EVERY) if not shipped(example)}
    assert without == {f"attack-{risk}" for risk in risks_of("attack")} - {
        "attack-distribution-inference",
        "attack-membership-inference",
    }


def shipped(example):
    return has_template(f"{example}.checks.tmpl")


def test_there_is_an_example_of_every_risk_that_is_played():
    attacked = {risk for risk, game in GAMES.items() if game.attacks and not game.attacks_of}
    assert {kind: set(risks_of(kind)) for kind in KINDS} == {
        "attack": attacked,
        "defense": set(RISKS),
        "metric": set(COLUMNS),
        "dataset": set(),
        "model": set(),
    }
    assert set(SCENES) == set(GAMES)


@pytest.fixture(scope="module")
def facts():
    """Give a function from a request to the facts of its data, which are read once."""
    known = {}

    def of(request):
        if request.dataset.id not in known:
            known[request.dataset.id] = facts_of(load_data(request))
        return known[request.dataset.id]

    return of


@pytest.mark.parametrize("draft", EVERY, ids=called)
def test_the_matrix_of_every_example_can_be_planned_and_asks_for_it(write, facts, draft):
    made = write(draft.kind, draft.name, draft.risk or None)
    request = resolve(read(made.folder / "example.yaml"), made.registry)
    cells = plan(request, facts(request)).cells
    assert made.entry.id in (made.folder / "example.yaml").read_text()
    assert any(cell.job for cell in cells)


@pytest.mark.parametrize(("norm", "order"), [("linf", torch.inf), ("l2", 2)])
def test_the_step_of_the_evasion_example_is_as_long_as_it_says_in_either_norm(write, norm, order):
    made = write("attack", "mine", "evasion")
    schema = DataSchema(modality="tabular", shape=(9,), classes=("a", "b"), feasible=Feasible(low=-2.0, high=2.0))
    torch.manual_seed(0)
    view = EvasionView(
        model=WhiteBox(torch.nn.Linear(9, 2).eval()),
        x=torch.zeros(5, 9),
        y=torch.zeros(5, dtype=torch.int64),
        epsilons=(0.1, 0.2),
        norm=norm,
        data_schema=schema,
    )
    changed = made.entry.load()(view, made.entry.component.params(share=0.5)).x
    lengths = torch.linalg.vector_norm(changed / 4, ord=order, dim=2)
    torch.testing.assert_close(lengths, torch.tensor([[0.05], [0.1]]).expand(2, 5))


@pytest.mark.parametrize("risk", ["membership-inference", "distribution-inference"])
def test_the_examples_of_metrics_call_equal_scores_alike(write, risk):
    made = write("metric", "mine", risk)
    score = torch.tensor([1.0] * 8 + [0.0] * 2, dtype=torch.float64)
    truth = torch.arange(10) < 5
    result = {
        "membership-inference": lambda: MembershipResult(score=score, member=truth),
        "distribution-inference": lambda: DistributionResult(score=score, second=truth, ratios=(0.5, 0.2), rows=9),
    }[risk]()
    (value,) = made.entry.load()(result, made.entry.component.params()).values
    assert value.estimate == 0.7


def test_the_example_that_reads_predictions_says_so_if_there_are_none(write):
    made = write("defense", "mine", "membership-inference")
    settings = TrainingSettings()
    silent = replace(
        plain_training(torch.nn.Identity, settings, stackable=True), objective=lambda call, frozen, batch: batch.w
    )
    schema = DataSchema(modality="tabular", shape=(1,), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))
    context = TrainingContext(rows=2, schema=schema, settings=settings)
    x, y = torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64)
    batch = Batch(x=x, y=y, z=y[:, None], w=torch.ones(2), draws={})
    train = made.entry.load(made.entry.component.stages["training"])
    with pytest.raises(ValueError, match=r"^mine: what it wraps never called the model$"):
        train(silent, made.entry.component.params(), context).objective(torch.nn.Identity(), torch.nn.Identity(), batch)


def test_the_advantage_of_the_attribute_example_is_over_a_control_that_learns_as_it_does(write, facts):
    made = write("attack", "mine", "attribute-inference")
    attack, control = (made.registry.find("attack", f"mine/{name}") for name in ("mine", "mine-control"))
    assert attack.component.params is control.component.params
    params = attack.component.params()
    seen = attribute.view(planted_attributes.contest(TOYS[0], "vulnerable", 0), AttributeThreat(), "probabilities")
    silent = seen.model_copy(
        update={name: torch.zeros_like(getattr(seen, name)) for name in ("observed", "observed_aux")}
    )
    told = attack.load()(seen, params).score
    without = control.load()(seen, params).score
    torch.testing.assert_close(attack.load()(silent, params).score, without)
    assert (told - without).abs().max() > 0.1
    request = resolve(read(made.folder / "example.yaml"), made.registry)
    planned = plan(request, facts(request))
    jobs = {(cell.row, cell.seed, cell.attack): cell.job for cell in planned.cells}
    assert jobs["none", 0, "mine/mine-control"] in planned.jobs[jobs["none", 0, "mine/mine"]].needs


@pytest.mark.parametrize("draft", [d for d in EVERY if called(d) in ("attack evasion", "defense evasion")], ids=called)
def test_the_matrix_of_an_example_can_be_run_as_it_is(write, draft):
    made = write(draft.kind, draft.name, draft.risk)
    results = run(read(made.folder / "example.yaml"), registry=made.registry)
    assert {cell.status for cell in results.cells} == {"ok"}
    assert {made.entry.id, draft.name} & {name for cell in results.cells for name in (cell.attack, cell.row)}


def test_a_paper_has_one_title():
    texts = [text for draft in EVERY for text in sources(draft)]
    found = {pair for text in texts for pair in re.findall(r'title="([^"]+)",\s+where="([^"]+)"', text)}
    places = [where for _, where in found]
    assert len(found) > 5
    assert sorted(places) == sorted(set(places))


@pytest.mark.parametrize("name", ["a", "a" * LONGEST])
def test_what_is_written_is_free_of_findings_whatever_the_length_of_its_name(tmp_path, name):
    for draft in EVERY:
        folder = tmp_path / f"{draft.kind}-{draft.risk}"
        new_plugin(draft.kind, name, risk=draft.risk or None, folder=str(folder), registry=Registry((), (), ()))
    for command in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_written_uses_what_plugins_may_use():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| module | what for |")[2]
    allowed = set(re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE))
    used = {module for draft in EVERY for text in sources(draft) for module in imported(text)}
    assert len(used) > 10
    assert {re.sub(r"^(amulet_core\.games)\.\w+$", r"\1", module) for module in used} - allowed == set()


def sources(draft):
    return [text for name, text in project_files(draft).items() if name.endswith(".py")]


def imported(text):
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    return [node.module for node in nodes if node.module.split(".")[0] == "amulet_core"]


DISTRIBUTIONS = {"amulet_core": "amulet-framework", "sklearn": "scikit-learn"}


@pytest.mark.parametrize("draft", DIFFERENT, ids=called)
def test_what_is_written_declares_what_it_imports_with_lower_bounds(draft):
    files = project_files(draft)
    texts = [text for name, text in files.items() if name.startswith(draft.module) and name.endswith(".py")]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    foreign = {name.split(".")[0] for name in names} - {draft.module, *sys.stdlib_module_names}
    declared = tomllib.loads(files["pyproject.toml"])["project"]["dependencies"]
    assert {one.partition(">=")[0] for one in declared} == {DISTRIBUTIONS.get(name, name) for name in foreign}
    assert [one for one in declared if not re.fullmatch(r"[a-z-]+>=[\d.]+", one)] == []
    assert declared[0] == "amulet-framework>=" + __version__.removesuffix(".0")


@pytest.mark.parametrize("draft", EVERY, ids=called)
def test_a_readme_says_that_it_describes_the_example_and_where_draws_come_from(draft):
    text = project_files(draft)["README.md"]
    assert text.count("> **Replace this paragraph.** It describes the example that `amulet new` wrote: ") == 1
    assert ("inside an objective, ask for draws (`Draw`)" in text) == (draft.kind == "defense")
    assert text.count("- Randomness: ") == 1


def test_the_licence_is_the_one_of_this_project():
    assert project_files(EVERY[0])["LICENSE"] == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("draft", DIFFERENT, ids=called)
def test_what_is_written_says_its_shapes(draft):
    tree = ast.parse(project_files(draft)[f"{draft.module}/{draft.kind}.py"])
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    texts = [ast.get_docstring(node) for node in functions if node.name not in ("noting", "__init__")]
    assert None not in texts
    assert re.search(r"``(\w+\d+ )?[\w.]*\s?\[", " ".join(texts))
