"""Running a plan, against a brute force: random jobs, outputs that are there, failures, losses and orders of ending."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amulet_core.planning.jobs import Job
from amulet_core.planning.plan import Plan, PlannedCell
from amulet_core.planning.schedule import LOSSES, Schedule
from amulet_core.running.loop import ExecutorError, Progress, Told, run_plan, todo_of
from amulet_core.sessions import Done, Failed, Lost, Task

RECORD = {"measured": [], "warnings": [], "evidence": {}}
OUT_OF_ORDER = Failed("made/up", "it is out of order")


@st.composite
def graphs(draw):
    """Return the needs of up to nine jobs, each among those before it; which are wanted; whose outputs are there."""
    count = draw(st.integers(1, 9))
    needs = [draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set() for number in range(count)]
    numbers = st.integers(0, count - 1)
    return needs, draw(st.sets(numbers, min_size=1)), draw(st.sets(numbers)), draw(st.sets(numbers))


def plan_of(needs, wanted):
    """Return a plan of such jobs, with a cell for each that is wanted; and the keys by number."""
    jobs, keys = {}, []
    for number, own in enumerate(needs):
        job = Job(None, f"job {number}", {"number": number}, tuple(keys[need] for need in sorted(own)))
        keys.append(job.key)
        jobs[job.key] = job
    cells = tuple(PlannedCell("none", "evasion", f"made/up-{n}", False, 0, "", keys[n]) for n in sorted(wanted))
    return Plan(jobs, cells), keys


@dataclass
class World:
    """The outputs there are, an executor that ends jobs in any order, and what went wrong: losses and failures."""

    jobs: dict
    have: set
    failing: set
    lossy: bool
    room: int
    draw: object
    forgetful: bool = False
    running: dict = field(default_factory=dict)
    lost: Counter = field(default_factory=Counter)
    done: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    told_lost: Counter = field(default_factory=Counter)

    def task(self, job):
        return Task(job.key, job.label, lambda: None)

    def holds(self, key):
        return key in self.have

    def drop(self, keys):
        if self.forgetful:  # nothing but memory keeps outputs
            self.have -= set(keys)

    def submit(self, task):
        assert task.key not in self.running
        needs = self.jobs[task.key].needs
        if self.lossy and needs and self.draw(st.integers(0, 3)) == 0:
            victim = self.draw(st.sampled_from(needs))
            self.lost[victim] += victim in self.have
            self.have.discard(victim)
        missing = [need for need in needs if need not in self.have]
        assert self.lossy or not missing
        self.running[task.key] = Lost(missing[0], "it is gone") if missing else Done(RECORD)
        self.room -= 1

    def next(self):
        # A job that misses an input says so at once; any other takes its time.
        missing = [key for key, outcome in self.running.items() if isinstance(outcome, Lost)]
        key = self.draw(st.sampled_from(sorted(missing or self.running)))
        outcome = self.running.pop(key)
        self.room += 1
        if isinstance(outcome, Lost):
            self.told_lost[key] += 1
            return key, outcome
        if key in self.failing:
            self.failed.append(key)
            return key, OUT_OF_ORDER
        self.done.append(key)
        self.have.add(key)
        return key, outcome


def run_in(world, plan):
    progress = Progress()
    todo = todo_of(plan, (), kept=world.holds)
    nothing = Told(*[lambda *_given: None] * 4)
    run_plan(todo, world, world, progress, nothing)
    assert todo.schedule.todo == set()
    assert progress.done == todo.schedule.total
    assert progress.cells.keys() == set(range(len(plan.cells)))
    return {plan.cells[index].job: cell for index, cell in progress.cells.items()}


def demanded(jobs, wanted, kept):
    """Return by brute force what has to be done: what is wanted, and whatever is not there that it needs."""
    found = set(wanted)
    while more := {need for key in found for need in jobs[key].needs if need not in kept} - found:
        found |= more
    return found


def doomed(jobs, failing, todo):
    """Return by brute force what cannot be done: what fails, and whatever needs it."""
    found = set(failing) & todo
    while more := {key for key in todo if found & set(jobs[key].needs)} - found:
        found |= more
    return found


@given(graphs(), st.integers(1, 4), st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_exactly_what_is_needed_is_done_once_each_after_what_it_needs(graph, room, forgetful, data):
    needs, wanted, kept, failing = graph
    plan, keys = plan_of(needs, wanted)
    there, out_of_order = {keys[n] for n in kept - wanted}, {keys[n] for n in failing}
    world = World(plan.jobs, set(there), out_of_order, False, room, data.draw, forgetful)
    cells = run_in(world, plan)
    todo = demanded(plan.jobs, {keys[n] for n in wanted}, there)
    never = doomed(plan.jobs, out_of_order, todo)
    assert sorted(world.done) == sorted(todo - never)
    assert sorted(world.failed) == sorted(key for key in out_of_order & todo if not never & set(plan.jobs[key].needs))
    assert {key for key, cell in cells.items() if cell.status == "failed"} == never & cells.keys()
    assert {cell.reason for cell in cells.values() if cell.status == "failed"} <= {OUT_OF_ORDER.reason}


@given(graphs(), st.integers(1, 4), st.data())
@settings(max_examples=150, deadline=None)
def test_outputs_that_are_lost_are_made_again_and_cost_no_cell(graph, room, data):
    needs, wanted, kept, _failing = graph
    plan, keys = plan_of(needs, wanted)
    world = World(plan.jobs, {keys[n] for n in kept - wanted}, set(), True, room, data.draw)
    cells = run_in(world, plan)
    for key, cell in cells.items():
        if cell.status == "failed":
            assert max(world.lost.values()) >= LOSSES, "a cell failed though nothing was lost that often"
            assert cell.reason == f"what it needs was lost {LOSSES} times: it is gone"
        else:
            assert world.done.count(key) >= 1


def two_users():
    plan, (base, *users) = plan_of([set(), {0}, {0}, {0}, {0}], {1, 2, 3, 4})
    return plan, base, users


def test_what_many_jobs_miss_at_once_counts_as_lost_once():
    plan, base, users = two_users()
    schedule = Schedule(plan.jobs, users, kept=lambda key: key == base)
    started = [schedule.ready.popleft() for _ in users]
    assert started == users
    assert [schedule.lost(user, Lost(base, "it is gone")) for user in users] == [None] * len(users)
    assert list(schedule.ready) == [base]
    schedule.settle(schedule.ready.popleft())
    assert list(schedule.ready) == users


def test_what_is_lost_again_and_again_fails_its_user_in_the_end():
    plan, base, (user, *_) = two_users()
    schedule = Schedule(plan.jobs, [user], kept=lambda key: key == base)
    for _ in range(LOSSES - 1):
        assert schedule.ready.popleft() == user
        assert schedule.lost(user, Lost(base, "it is gone")) is None
        schedule.settle(schedule.ready.popleft())
    assert schedule.ready.popleft() == user
    assert schedule.lost(user, Lost(base, "it is gone")) == Failed(
        "amulet", "what it needs was lost 3 times: it is gone"
    )


def test_an_output_that_was_made_after_all_serves_whoever_needs_it():
    plan, base, (first, second, *_) = two_users()
    schedule = Schedule(plan.jobs, [first, second], kept=lambda key: key == base)
    schedule.ready.clear()
    schedule.lost(first, Lost(base, "it is gone"))
    schedule.settle(base, OUT_OF_ORDER)
    assert schedule.failure(first) == OUT_OF_ORDER
    schedule.lost(second, Lost(base, "it is gone"))
    schedule.settle(base)
    assert schedule.failure(second) is None


def test_an_output_that_is_being_made_again_is_waited_for_even_if_something_is_still_there():
    plan, (base, middle, top, other) = plan_of([set(), {0}, {1}, {0}], {2, 3})
    schedule = Schedule(plan.jobs, [other, top], kept=lambda key: key in (base, middle))
    assert schedule.ready.popleft() == top
    assert schedule.ready.popleft() == other
    schedule.lost(other, Lost(base, "it is damaged, and cannot be removed"))
    schedule.lost(top, Lost(middle, "it is damaged, and cannot be removed"))
    assert list(schedule.ready) == [base]


def test_jobs_are_ready_in_the_order_of_the_plan_and_users_of_what_was_just_made_come_first():
    plan, keys = plan_of([set(), set(), {0}, {0}, {1}], {4, 3, 2})
    schedule = Schedule(plan.jobs, [keys[4], keys[3], keys[2]], kept=lambda _key: False)
    assert list(schedule.ready) == [keys[0], keys[1]]
    schedule.ready.popleft()
    schedule.settle(keys[0])
    assert set(schedule.ready) == {keys[2], keys[3], keys[1]}
    assert schedule.ready[-1] == keys[1]


def test_outputs_are_dropped_as_soon_as_nobody_waits_for_them():
    plan, base, users = two_users()
    schedule = Schedule(plan.jobs, users, kept=lambda _key: False)
    assert schedule.settle(base) == []
    assert [schedule.settle(user) for user in users[:-1]] == [[user] for user in users[:-1]]
    assert schedule.settle(users[-1]) == [users[-1], base]


class Broken:
    """An executor that breaks down."""

    def __init__(self, how):
        self.how = how

    @property
    def room(self):
        if self.how == "room":
            raise ConnectionError("the cluster is gone")
        return 0 if self.how == "full" else 1

    def submit(self, _task):
        if self.how == "submit":
            raise ConnectionError("the cluster is gone")

    def next(self):
        raise ConnectionError("the cluster is gone")


@pytest.mark.parametrize("how", ["room", "submit", "next", "full"])
def test_an_executor_that_breaks_down_ends_the_run_by_its_own_error(how):
    plan, _keys = plan_of([set()], {0})
    world = World(plan.jobs, set(), set(), False, 1, None)
    todo = todo_of(plan, (), kept=world.holds)
    with pytest.raises(ExecutorError) as error:
        run_plan(todo, world, Broken(how), Progress(), Told(*[lambda *_given: None] * 4))
    gone, full = "ConnectionError: the cluster is gone", "it has no room for a job, though it has none"
    assert str(error.value) == (full if how == "full" else gone)
