"""The settings of the executor. Light."""

import re
from typing import Final

from amulet_core.components import Params
from pydantic import Field, field_validator

ID: Final = "ray/ray"
"""What the executor is called where it is to blame."""
_PLACE: Final = re.compile(r"(?:auto|[A-Za-z0-9._-]+:[0-9]{1,5})")


class RayParams(Params):
    """Which cluster, and how patient to be with it. None of these settings changes a result."""

    address: str | None = Field(
        default=None,
        description="The cluster: host:port of its head, or auto for the one that runs on this machine. "
        "None: the one that this program uses already, else one of this machine alone, which ends with the run.",
    )
    retries: int = Field(
        default=3, ge=0, le=1000, description="How often a job is tried again after its worker or its node was lost."
    )
    pending: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="How many jobs the cluster may hold at once, waiting or running. None: 16 more than twice as many "
        "as it can run, so that a node that joins finds work.",
    )
    wait_seconds: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="How many seconds the cluster may take to answer, and then its nodes.",
    )

    patience_seconds: float = Field(
        default=300.0,
        gt=0,
        le=604_800,
        description="How many seconds a job waits for a node that is large enough for it, when there is none.",
    )

    @field_validator("address")
    @classmethod
    def _supported(cls, address: str | None) -> str | None:
        if address is not None and address.startswith("ray://"):
            raise ValueError(
                "the Ray client (ray://) is not supported: a connection that is lost for 30 s ends all jobs. "
                "Start the run on a machine of the cluster, with auto or the head's host:port (the port is 6379 unless "
                "ray start was told another)"
            )
        if address is not None and not _PLACE.fullmatch(address):
            raise ValueError("it must be auto or host:port")
        return address
