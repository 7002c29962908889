"""The request and answer shapes that name a source or destination kind."""

from typing import Any
from uuid import UUID

from pydantic import Field, SecretStr, StrictBool, model_validator

from app.errors import Problem
from app.models.columns import UtcTime
from app.models.common import Json, Shape
from app.models.imports import (
    AttemptPublic,
    ConcernCode,
    ConversionProperties,
    ConversionWarning,
    ImportProperties,
    QueueStatus,
    Retry,
)
from app.models.progress import DiskProgress, Progress
from app.models.state import ImportState, StepName
from app.sources import SourceSpec


class VmImportCreate(ImportProperties):
    """A whole import request."""

    source: SourceSpec

    @model_validator(mode="after")
    def _one_target(self) -> "VmImportCreate":
        if (self.storage_domain_id is None) == (self.data_center_id is None):
            raise ValueError("give exactly one of `storage_domain_id` and `data_center_id`")
        return self

    def without_secrets(self) -> Json:
        """The request as it is kept in the open: secrets left out."""
        return self.model_dump(mode="json", exclude={"conversion": {"luks_keys"}}) | {
            "has_luks_keys": bool(self.conversion.luks_keys)
        }

    def secrets(self) -> dict[str, SecretStr]:
        return {f"luks_key_{number}": key for number, key in enumerate(self.conversion.luks_keys)}


def spec_from_row(saved: Json, secrets: dict[str, SecretStr]) -> VmImportCreate:
    """The whole request again, from what was kept in the open and what was sealed."""
    keys = [key.get_secret_value() for name, key in sorted(secrets.items()) if name.startswith("luks_key_")]
    data = {name: value for name, value in saved.items() if name != "has_luks_keys"}
    data["conversion"] = {**saved["conversion"], "luks_keys": keys}
    return VmImportCreate.model_validate(data)


class ConversionPropertiesPublic(ConversionProperties):
    luks_keys: tuple[SecretStr, ...] = Field(default=(), exclude=True)
    has_luks_keys: bool = False


class ImportSpecPublic(ImportProperties):
    """The whole request, secrets as `has_…`."""

    source: SourceSpec
    conversion: ConversionPropertiesPublic = ConversionPropertiesPublic()

    @classmethod
    def from_row(cls, saved: Json) -> "ImportSpecPublic":
        data: dict[str, Any] = dict(saved)
        conversion = {**data["conversion"], "has_luks_keys": data.pop("has_luks_keys", False)}
        return cls.model_validate({**data, "conversion": conversion})


class VmImportPublic(Shape):
    """An import as clients see it; also the payload of `import` events."""

    id: UUID
    state: ImportState
    step: StepName | None
    stage: str | None
    queue: QueueStatus | None
    spec: ImportSpecPublic
    storage_domain_id: UUID | None
    proxy_host_id: UUID | None
    batch_id: UUID | None
    vm_id: UUID | None
    attempt: int
    attempts: tuple[AttemptPublic, ...]
    retry: Retry | None
    priority: int
    labels: dict[str, str]
    progress: Progress
    disk_progress: tuple[DiskProgress, ...]
    warnings: tuple[ConversionWarning, ...]
    problem: Problem | None
    created_by: str
    created_at: UtcTime
    started_at: UtcTime | None
    finished_at: UtcTime | None
    version: int


class ImportCancel(Shape):
    force: StrictBool = False


class ImportRetry(Shape):
    proxy_host_id: UUID | None = None
    accept_concerns: tuple[ConcernCode, ...] | None = Field(default=None, max_length=1000)
