"""Import requests and targets for tests of what carries them out."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from app.destinations.base import Target, TargetDisk
from app.models.imports import Allocation, DiskFormat
from app.services.specs import VmImportCreate
from tests.support.images import MIB


def request(source: Mapping[str, Any] | None = None, **properties: Any) -> VmImportCreate:
    """A request as it comes over HTTP, to some storage domain."""
    body = {
        "source": source or {"kind": "disk", "path": "/srv/images/web-1.img"},
        "storage_domain_id": str(UUID(int=7)),
        **properties,
    }
    return VmImportCreate.model_validate(body)


def target(
    attempt_dir: str = "/w/attempt",
    *,
    capacities: Sequence[int] = (4 * MIB,),
    format_name: DiskFormat = DiskFormat.RAW,
    allocation: Allocation = Allocation.SPARSE,
) -> Target:
    """A target with ids of its own."""
    return Target(
        import_id=uuid4(),
        attempt_id=uuid4(),
        attempt_number=1,
        turn=1,
        attempt_dir=attempt_dir,
        vm_id=uuid4(),
        vm_name="web 1",
        file_name="web_1",
        disks=tuple(
            TargetDisk(
                id=uuid4(),
                number=number,
                capacity_bytes=capacity,
                format=format_name,
                allocation=allocation,
            )
            for number, capacity in enumerate(capacities, start=1)
        ),
    )
