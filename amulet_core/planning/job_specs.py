"""What each kind of job is a function of: the specifications that its key is made of. Light."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from amulet_core.components import Resources
from amulet_core.configuration.chains import released, trained
from amulet_core.configuration.request import Request, RowPlan, Use
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.jobs import BankWork, FitWork, Job, Recipe
from amulet_core.planning.layout import Place, layout_of
from amulet_core.storage.fingerprint import code_of, environment, packages_of

Stack = tuple[Place, ...]
"""The models that one job trains."""

NO_DEFENSE = RowPlan("", "none")


class JobSpecs:
    """The jobs of one plan so far, by key, and how those that many plays share are described."""

    def __init__(self, request: Request, facts: DataFacts) -> None:
        """Set up for a request on data of which these facts are known."""
        self.request, self.facts, self.schema = request, facts, facts.data_schema
        self.layout = layout_of(request, self.schema)
        self.jobs: dict[str, Job] = {}
        self._code = lru_cache(maxsize=None)(code_of)
        self.common = {
            "environment": environment(),
            "dataset": self.versioned(request.dataset),
            "content": facts.content,
            "data": request.data.model_dump(mode="json"),
            "blocks": self.layout.blocks,
            "pairs": self.layout.pairs,
            "root_seed": request.root_seed,
            "threads": request.threads_per_job,
        }
        places, size = self.layout.places(), request.stack
        self._stacks = {place: stack for stack in stacked(places, size) for place in stack}
        self._made: dict[tuple[str, str, Stack], str] = {}

    def add(self, job: Job) -> str:
        """Add a job, unless an equal one is there; return its key."""
        self.jobs.setdefault(job.key, job)
        return job.key

    def versioned(self, use: Use) -> dict[str, Any]:
        """Return all that a used component is a function of: its id, its parameters, its version and its code."""
        code = [self._code(package) for package in packages_of(use.entry)]
        return {**use.canonical(), "version": use.entry.component.version, "code": code}

    def recipe(self, row: RowPlan) -> Recipe:
        """Return the recipe of a row."""
        return Recipe(self.request.model, row.chain, self.request.training)

    def released(self, row: RowPlan) -> dict[str, Any]:
        """Describe what stands between a trained model and who asks it."""
        return {"released": [self.versioned(use) for use in released(row.chain)]}

    def fit_of(self, row: RowPlan, place: Place) -> str:
        """Return the key of the job that trains a row's model of a place, with those of its stack."""
        return self.fit(row, self._stacks[place])

    def banks_of(self, row: RowPlan, places: Sequence[Place]) -> list[str]:
        """Return the keys of the jobs that ask a row's models of these places."""
        stacks = dict.fromkeys(self._stacks[place] for place in places)
        return [self._once("bank", row, stack, self._bank) for stack in stacks]

    def fit(self, row: RowPlan, places: Stack) -> str:
        """Return the key of the job that trains a row's models of a stack."""
        return self._once("fit", row, places, self.fit_job)

    def fit_job(self, row: RowPlan, places: Stack) -> Job:
        """Describe the training of a row's models of a stack."""
        row = replace(row, chain=trained(row.chain))
        spec = {**self._recipe_spec(row), "places": [list(place.key) for place in places]}
        work = FitWork(self.recipe(row), places, row.kind == "placebo", self.request.root_seed)
        label = f"train {row.label} ({len(places)} models)"
        population = places[0].population
        rows, few = (population.rows, {"rows": population.rows}) if population else (self.request.data.train, {})
        like = self.like("train", row, (), models=len(places), training=spec["training"], **few)
        size = len(places) * self.request.training.epochs * rows
        return Job(work, label, spec, like=like, size=size, resources=self.resources(row))

    def like(self, kind: str, row: RowPlan, uses: Sequence[Use], **more: Any) -> tuple[dict[str, Any], ...]:
        """Describe jobs that take about as long: all settings alike; or else trainings by size, others by any chain."""
        request = self.request
        common = [use.canonical() for use in (request.dataset, request.model)]
        chain = [use.canonical() for use in row.chain if kind != "join"]
        own = {"kind": kind, "uses": [use.canonical() for use in uses], "data": request.data.model_dump(mode="json")}
        roughly = {"kind": kind, "of": [*common, *(use.id for use in row.chain)]} if kind == "train" else own | more
        return {**own, **more, "common": common, "chain": chain}, {**roughly, "common": common}

    def resources(self, row: RowPlan, *uses: Use) -> Resources:
        """Return the largest need of the components that a job uses."""
        needs = [use.entry.component.resources for use in (self.request.model, *row.chain, *uses)]
        return Resources(
            cpus=max(self.request.threads_per_job, *(need.cpus for need in needs)),
            gpus=max(need.gpus for need in needs),
            memory_gb=max(need.memory_gb for need in needs),
        )

    def _recipe_spec(self, row: RowPlan) -> dict[str, Any]:
        return {
            **self.common,
            "model": self.versioned(self.request.model),
            "chain": [self.versioned(use) for use in row.chain],
            "training": self.request.training.model_dump(mode="json"),
            "placebo": row.kind == "placebo",
        }

    def _once(self, kind: str, row: RowPlan, stack: Stack, job: Callable[[RowPlan, Stack], Job]) -> str:
        """Return the key of a job that many plays share, which is described for the first of them alone."""
        made = (kind, row.label, stack)
        if made not in self._made:
            self._made[made] = self.add(job(row, stack))
        return self._made[made]

    def _bank(self, row: RowPlan, stack: Stack) -> Job:
        fit = self.fit(row, stack)
        like, resources = self.like("ask", row, ()), self.resources(row)
        work, label = BankWork(self.recipe(row)), f"ask {row.label}'s models"
        return Job(work, label, self.released(row), (fit,), like, resources=resources)


def stacked(places: Sequence[Place], size: int) -> list[Stack]:
    """Cut places into stacks of at most so many models."""
    return [tuple(places[start : start + size]) for start in range(0, len(places), size)]
