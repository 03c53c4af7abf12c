"""The built-in executors, described without importing them."""

from pydantic import Field

from amulet_core.components import Component, Executor, Params, Reference


class ProcessesParams(Params):
    """The settings of ``processes``: how many workers, and what a job may take. None of them changes a result."""

    workers: int | None = Field(
        default=None,
        ge=1,
        description="How many worker processes at most. Left out: as many as cores allow, threads_per_job each.",
    )
    memory_gb: float | None = Field(
        default=None,
        gt=0,
        description="Resident memory (in 10^9 bytes) that a worker may hold; one that takes more fails. Left out: any.",
    )
    job_seconds: float | None = Field(
        default=None,
        gt=0,
        description="How long a job may take, with the start of a new worker where it needs one. Left out: any.",
    )
    retries: int = Field(
        default=1, ge=0, le=100, description="How often a job is tried again, on a new worker, after its worker died."
    )


COMPONENTS: tuple[Component, ...] = (
    Executor(
        name="inline",
        summary="One job after the other, in the process that was started.",
        target="amulet_plugins_builtin.executors.inline:inline",
        references=(
            Reference(
                title="Python documentation: contextlib", where="https://docs.python.org/3/library/contextlib.html"
            ),
        ),
    ),
    Executor(
        name="processes",
        summary="Several jobs at once, in worker processes of this machine that may die without harm to the run.",
        target="amulet_plugins_builtin.executors.processes:processes",
        params=ProcessesParams,
        in_process=False,
        references=(
            Reference(
                title="Python documentation: subprocess", where="https://docs.python.org/3/library/subprocess.html"
            ),
        ),
    ),
)
"""What runs jobs."""
