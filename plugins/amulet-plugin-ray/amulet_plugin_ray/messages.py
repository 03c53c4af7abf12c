"""What the run's process and the one that drives Ray say to each other: a line of JSON each. Light."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """One line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def line(self) -> bytes:
        """Return it as a line of JSON."""
        return self.model_dump_json().encode() + b"\n"


class Joining(Message):
    """The first line to Ray's process: which cluster, and how jobs are done there.

    ``answer`` and ``problems`` are ``module:function`` of what runs on the nodes, with ``environment`` and, on this
    machine, ``paths`` to import from. A job has ``threads`` threads.
    """

    address: str | None
    retries: int
    pending: int | None
    wait_seconds: float
    patience_seconds: float
    threads: int
    greeting: str
    answer: str
    problems: str
    environment: dict[str, str]
    paths: tuple[str, ...]


class Need(Message):
    """What a job takes of a node; ``memory`` is in bytes, 0 says nothing."""

    cpus: int
    gpus: float = 0.0
    memory: int = 0


class Order(Message):
    """A job to be done."""

    key: str
    label: str
    letter: str
    need: Need


class News(Message):
    """What Ray's process has to say.

    ``reached`` the cluster; ``joined`` it, or ``refused`` to, with the problems as ``texts``; a ``warning`` for the
    user; the job ``key`` has ``ended`` with the outcome that is the only one of ``texts``. ``room`` counts the jobs
    that the cluster may hold.
    """

    kind: Literal["reached", "joined", "refused", "warning", "ended"]
    texts: tuple[str, ...] = ()
    key: str = ""
    room: int = 0
