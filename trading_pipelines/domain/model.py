"""The base of every frozen model: few rows are a model, many rows are a frame."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Immutable, refuses unknown keys, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, revalidate_instances="never")
