"""Settings that many attacks share. Light."""

from typing import Annotated

from pydantic import Field

Steps = Annotated[int, Field(ge=1, le=10_000, description="gradient steps")]
RelativeStep = Annotated[
    float,
    Field(gt=0, le=10, serialization_alias="alpha", description="length of a step as a fraction of the budget"),
]
RandomStart = Annotated[bool, Field(description="start from a random point within the budget, not from the row itself")]
Decay = Annotated[float, Field(ge=0, le=10, description="share of the accumulated gradient kept at each step")]
Averages = Annotated[
    int, Field(ge=1, le=1000, description="gradients averaged at each step, for victims that answer at random")
]
Restarts = Annotated[int, Field(ge=1, le=1000, description="searches, each on the rows that withstood those before")]
