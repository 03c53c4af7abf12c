"""What ``amulet check`` tells an author whose plugin has a mistake: what, what was expected, how to mend it, and why."""

import pytest

from amulet_core.testing.checking import run_checks

NOTE = """\
              share of fooled rows: the toy table, linf 1.00; the toy table, l2 1.00; the toy images, linf
              1.00; the toy images, l2 1.00
"""
MISTAKES = {
    "a wrong shape": (
        "attack",
        "evasion",
        "attack.py",
        "x=torch.stack(changed)",
        "x=changed[0]",
        """\
  FAILED      it answers what its game asks for
              found:    on the toy table, linf it returned x [40, 25], not [budgets, n, ...] = [2, 40, 25]
              expected: EvasionAnswer of the view's shape
              fix:      return amulet_core.games.evasion.EvasionAnswer, in the order of the view's rows
              why:      what is no answer cannot be scored
  not checked it keeps to its budgets
              because "it answers what its game asks for" fails
  not checked it asks its victim only through its view
  not checked it beats chance on a planted vulnerable victim
  not checked it finds nothing on a planted safe victim
""",
        "20 checks: 15 ok, 1 failed, 4 not checked",
    ),
    "a budget exceeded": (
        "attack",
        "evasion",
        "attack.py",
        "project(view.x + epsilon * step, view.x, view.data_schema, norm=view.norm, epsilon=epsilon)",
        "view.x + 3 * epsilon * step",
        """\
  FAILED      it keeps to its budgets
              found:    on the toy table, linf: ValueError: the answer breaks the rules of the game: 40 rows
                        lie up to 0.03 away, the budget is 0.01 (linf); 40 rows lie up to 0.15 away, the
                        budget is 0.05 (linf)
              expected: changed rows within every budget of the view
              fix:      end with amulet_core.feasible.project, under the view's norm and each of its epsilons
              why:      a change that the threat model forbids proves nothing about the victim
  not checked it beats chance on a planted vulnerable victim
              because "it keeps to its budgets" fails
  not checked it finds nothing on a planted safe victim
""",
        "20 checks: 17 ok, 1 failed, 2 not checked",
    ),
    "a seed of its own": (
        "attack",
        "evasion",
        "attack.py",
        "    x = view.x.clone()",
        "    torch.manual_seed(0)\n    x = view.x.clone()",
        """\
  FAILED      it never seeds the global generators
              found:    under two keys the generator of torch ended in the same state
              expected: two states, as the keys differ
              fix:      do not seed; simply draw from the global generators, or make a generator of your own
                        from a draw
              why:      the core seeds them from the job's key: with a fixed seed all repetitions would be the
                        same draw
""",
        "20 checks: 19 ok, 1 failed",
    ),
    "a parameter without words": (
        "attack",
        "evasion",
        "__init__.py",
        'Field(1.0, gt=0, le=1, description="length of the step as a fraction of the budget")',
        "1.0",
        """\
  FAILED      every parameter is described, and every number has limits
              found:    no description of share and no limits of share
              expected: a description of each parameter, and limits of each number
              fix:      write Field(default, gt=0, le=1, description="..."), or say in the description which
                        default stands for no limit
              why:      a value that makes no sense must be refused before anything runs
""",
        "20 checks: 19 ok, 1 failed",
    ),
    "a target that is not there": (
        "attack",
        "evasion",
        "__init__.py",
        '.attack:attack"',
        '.attack:atack"',
        """\
  FAILED      its targets can be called as documented
              found:    amulet_plugin_mine.attack:atack cannot be loaded: AttributeError: module
                        'amulet_plugin_mine.attack' has no attribute 'atack'
              expected: a function of (view, params)
              fix:      see that the target names a module, and a function in it (perhaps "attack")
              why:      a run calls them by position
  not checked it runs on the toy tasks
              because "its targets can be called as documented" fails
  not checked it answers what its game asks for
              because "it runs on the toy tasks" fails
  not checked it keeps to its budgets
  not checked it asks its victim only through its view
  not checked it beats chance on a planted vulnerable victim
  not checked it finds nothing on a planted safe victim
  not checked it leaves its victim alone
  not checked it leaves what it is given alone
  not checked it leaves global settings alone
  not checked it never seeds the global generators
  not checked the same key gives the same bits
""",
        "20 checks: 8 ok, 1 failed, 11 not checked",
    ),
    "no power": (
        "attack",
        "evasion",
        "attack.py",
        "gradient.sign()",
        "torch.randn_like(gradient).sign()",
        """\
  FAILED      it beats chance on a planted vulnerable victim
              found:    on the toy table, linf its share of fooled rows is 0.00, that of a blind answer 0.00
              expected: at least 0.15, as the victim is wide open
              fix:      see that it climbs the loss of the true label and spends the whole budget, for every
                        norm and epsilon, and that its default parameters give it time enough
              why:      an attack without power makes every defense look good
""",
        "20 checks: 19 ok, 1 failed",
    ),
    "a heavy import": (
        "attack",
        "evasion",
        "__init__.py",
        "from amulet_core import",
        "import torch\nfrom amulet_core import",
        """\
  FAILED      importing the plugin imports nothing heavy
              found:    importing amulet_plugin_mine imports numpy, torch
              expected: nothing heavy
              fix:      keep descriptors and Params in light modules, and import the rest where targets are
              why:      amulet list imports every installed plugin; torch alone costs seconds
""",
        "20 checks: 19 ok, 1 failed",
    ),
    "a wrong direction": (
        "metric",
        "membership-inference",
        "__init__.py",
        'better="lower"',
        'better="higher"',
        """\
  FAILED      its values are better where the defender fares better
              found:    on the toy table, a result good for the defender right_calls is worse than where
                        everything is lost
              expected: values that are better than on the result bad for the defender
              fix:      set better ("higher" or "lower" is better for the defender) of each measure the right
                        way round, and see that the metric reads the result
              why:      a direction the wrong way round turns every verdict round
""",
        "17 checks: 16 ok, 1 failed",
    ),
    "a wrong type": (
        "attack",
        "membership-inference",
        "attack.py",
        ".double()",
        "",
        """\
  FAILED      it runs on the toy tasks
              found:    on the toy table it raised MembershipAnswer: score is torch.float32 [600], expected
                        torch.float64 [n]
              expected: a result with the default parameters
              fix:      convert: score.double()
              why:      a component that does not run here will fail all its cells
  not checked it answers what its game asks for
              because "it runs on the toy tasks" fails
  not checked it asks its victim only through its view
  not checked it beats chance on a planted vulnerable victim
  not checked it finds nothing on a planted safe victim
  not checked it leaves its victim alone
  not checked it leaves what it is given alone
  not checked it leaves global settings alone
  not checked it never seeds the global generators
  not checked the same key gives the same bits
  FAILED      a score is the victim's log-probability less what models that never saw the row give it
              found:    MembershipAnswer: score is torch.float32 [1], expected torch.float64 [n]
              why:      anything else is another attack
  FAILED      it tells the members of a victim that remembers them
              found:    MembershipAnswer: score is torch.float32 [400], expected torch.float64 [n]
              why:      an attack that fails where everything is told says nothing where it fails elsewhere
  FAILED      it is at chance on a victim that remembers nothing
              found:    MembershipAnswer: score is torch.float32 [400], expected torch.float64 [n]
              why:      what is found where there is nothing to find is the attack's own leak
""",
        "22 checks: 9 ok, 4 failed, 9 not checked",
    ),
    "a crash in training": (
        "defense",
        "evasion",
        "defense.py",
        "batch._replace(x=noisy))",
        "batch._replace(x=noisy)) / 0",
        """\
  FAILED      it composes with another training defense
              found:    on the toy table, training stage, another defense standing after it, training raised
                        DivergedError: training diverged: 4 of 4 weight tensors are not finite (first:
                        parts.model.hidden.weight); lower the learning rate
              expected: a trained model
              fix:      keep to the contract of objectives (call each network once, search on the frozen one),
                        and extend draws and parts instead of replacing them
              why:      a defense that drops another's part of the training would be measured in its name
  not checked its objective asks each network once
              because "the trained model is finite and plain" fails
  not checked its objective keeps to the weights of the rows
  not checked its objective gives each row a loss of its own
  FAILED      the trained model is finite and plain
              found:    on the toy table training raised ComponentError: mine/mine: DivergedError: training
                        diverged: 4 of 4 weight tensors are not finite (first: parts.model.hidden.weight);
                        lower the learning rate
              expected: two trained models
              fix:      train them by the recipe as amulet_core.performing.recipes.fit_recipe does, and mend
                        what is raised; objectives run under torch.func.vmap: branch with torch.where, ask for
                        draws with Draw, return one loss a row, [n]
              why:      hooks, wrappers or NaN left in it break attacks and storage
  not checked it leaves exactly the evidence that it declares
              because "the trained model is finite and plain" fails
  not checked the same seed trains the same bits
""",
        "24 checks: 17 ok, 2 failed, 5 not checked",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_reason_and_its_mending(write, capsys, mistake):
    kind, risk, file, right, wrong, told, counts = mistake
    made = write(kind, "mine", risk, (f"amulet_plugin_mine/{file}", right, wrong))
    assert run_checks("mine", made.registry) == 1
    out = capsys.readouterr().out.replace(NOTE, "")
    *lines, last = [line for line in out.splitlines(keepends=True) if not line.startswith(("plugin", kind, "  ok  "))]
    assert ("".join(lines), last) == (told, f"{counts}\n")


def test_a_sound_plugin_is_told_that_all_is_well(write, capsys):
    assert run_checks("mine", write("attack", "mine", "evasion").registry) == 0
    assert capsys.readouterr().out.endswith("\n20 checks: 20 ok\n")
