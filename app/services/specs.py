"""The request and answer shapes that name a source or destination kind."""

from typing import Any
from uuid import UUID

from pydantic import Field, SecretStr, StrictBool, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.errors import Problem, RecordUnreadableError
from app.models.columns import UtcTime
from app.models.common import Json, Shape
from app.models.imports import (
    AttemptPublic,
    ConcernCode,
    ConversionMode,
    ConversionProperties,
    ConversionWarning,
    ImportProperties,
    QueueStatus,
    Retry,
)
from app.models.progress import DiskProgress, Progress
from app.models.state import ImportState, StepName
from app.sources import SourceSpec
from app.sources.export_domain import ExportDomain


class VmImportCreate(ImportProperties):
    """A whole import request."""

    source: SourceSpec

    @model_validator(mode="before")
    @classmethod
    def _copied_unless_asked(cls, data: Any) -> Any:
        """A VM of oVirt runs on KVM already."""
        source = data.get("source") if isinstance(data, dict) else None
        if not isinstance(source, dict) or source.get("kind") != ExportDomain.kind:
            return data
        conversion = data.get("conversion", {})
        if not isinstance(conversion, dict):
            return data
        return {**data, "conversion": {"mode": ConversionMode.COPY, **conversion}}

    @model_validator(mode="after")
    def _one_target(self) -> "VmImportCreate":
        if (self.storage_domain_id is None) == (self.data_center_id is None):
            raise PydanticCustomError(
                "exactly_one", "Give exactly one of `storage_domain_id` and `data_center_id`"
            )
        return self

    def without_secrets(self) -> Json:
        """The request as it is kept in the open: secrets left out."""
        return self.model_dump(mode="json", exclude={"conversion": {"luks_keys"}}) | {
            "has_luks_keys": bool(self.conversion.luks_keys)
        }

    def secrets(self) -> dict[str, SecretStr]:
        return {f"luks_key_{number}": key for number, key in enumerate(self.conversion.luks_keys)}


def spec_from_row(saved: Json, secrets: dict[str, SecretStr]) -> VmImportCreate:
    """The whole request again, from what was kept in the open and what was sealed.

    Raises RecordUnreadableError.
    """
    keys = [key.get_secret_value() for name, key in sorted(secrets.items()) if name.startswith("luks_key_")]
    data = {name: value for name, value in saved.items() if name != "has_luks_keys"}
    try:
        data["conversion"] = {**saved["conversion"], "luks_keys": keys}
        return VmImportCreate.model_validate(data)
    except (KeyError, TypeError, ValidationError) as error:
        raise RecordUnreadableError("The import's request, as it was saved, can't be read.") from error


class ConversionPropertiesPublic(ConversionProperties):
    luks_keys: tuple[SecretStr, ...] = Field(default=(), exclude=True)
    has_luks_keys: bool = False


class ImportSpecPublic(ImportProperties):
    """The whole request, secrets as `has_…`."""

    source: SourceSpec
    conversion: ConversionPropertiesPublic = ConversionPropertiesPublic()

    @classmethod
    def from_row(cls, saved: Json) -> "ImportSpecPublic | None":
        """None when it can't be read."""
        data: dict[str, Any] = dict(saved)
        try:
            conversion = {**data["conversion"], "has_luks_keys": data.pop("has_luks_keys", False)}
            return cls.model_validate({**data, "conversion": conversion})
        except (KeyError, TypeError, ValidationError):
            return None


class VmImportPublic(Shape):
    """An import as clients see it; also the payload of `import` events."""

    id: UUID
    state: ImportState
    step: StepName | None
    """Ours, of those in `/v1/kinds`; null before the first."""
    stage: str | None
    """virt-v2v's, inside the step `convert_disks`."""
    queue: QueueStatus | None
    """Null unless the import is queued."""
    spec: ImportSpecPublic | None
    """The whole request, without its secrets; null when it can't be read any more."""
    storage_domain_id: UUID | None
    """The chosen one."""
    proxy_host_id: UUID | None
    """The chosen one."""
    batch_id: UUID | None
    vm_id: UUID | None
    """The VM, locked until the import is done."""
    attempt: int
    """The number of the present attempt, from 1."""
    attempts: tuple[AttemptPublic, ...]
    retry: Retry | None
    """When the service tries again by itself."""
    priority: int
    labels: dict[str, str]
    progress: Progress
    disk_progress: tuple[DiskProgress, ...]
    warnings: tuple[ConversionWarning, ...]
    """What virt-v2v warned of, and what the service saw."""
    problem: Problem | None
    """Why the import failed."""
    created_by: str
    """The name of the token."""
    created_at: UtcTime
    started_at: UtcTime | None
    finished_at: UtcTime | None
    version: int
    """Counts changes but for progress; it is the ETag."""


class ImportCancel(Shape):
    force: StrictBool = False
    """Don't wait for a proxy host that can't be reached: what is left there is not removed, but listed at
    `/v1/orphans`. Needs the role `admin`.
    """


class ImportRetry(Shape):
    proxy_host_id: UUID | None = None
    """Another proxy host than the request names."""
    accept_concerns: tuple[ConcernCode, ...] | None = Field(default=None, max_length=1000)
    """Instead of those of the request."""
