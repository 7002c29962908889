"""The target of an attempt: ids of its own, safe names, a disk for each that is imported."""

from typing import Any
from uuid import uuid4

import pytest

from app.actions.target import LONGEST_FILE_NAME, file_name, new_target
from app.destinations.base import Target
from app.errors import InvalidSourceError
from app.models.imports import Allocation, DiskFormat
from app.models.vm import SourceDisk, VmConfig
from tests.support.images import MIB
from tests.support.requests import request


def disk(name: str, capacity_bytes: int | None = MIB) -> SourceDisk:
    return SourceDisk(id=name, label=name, capacity_bytes=capacity_bytes)


def targeted(*disks: SourceDisk, **properties: Any) -> Target:
    return new_target(
        request(**properties),
        VmConfig(id="a", name="web 1", disks=disks),
        import_id=uuid4(),
        attempt_id=uuid4(),
        attempt_number=1,
        turn=1,
        attempt_dir="/w/attempt",
    )


def test_the_disks_are_numbered_in_the_order_of_the_vm() -> None:
    made = targeted(disk("a"), disk("b", 2 * MIB))
    assert [(disk.number, disk.capacity_bytes) for disk in made.disks] == [(1, MIB), (2, 2 * MIB)]


def test_no_two_targets_share_an_id() -> None:
    one, two = targeted(disk("a")), targeted(disk("a"))
    assert one.vm_id != two.vm_id
    assert one.disks[0].id != two.disks[0].id


def test_format_and_allocation_are_the_disks_own_or_the_default() -> None:
    made = targeted(
        disk("a"),
        disk("b"),
        disk_defaults={"format": "qcow2", "allocation": "sparse"},
        disks=[{"source_disk_id": "b", "format": "raw", "allocation": "preallocated"}],
    )
    assert [(disk.format, disk.allocation) for disk in made.disks] == [
        (DiskFormat.QCOW2, Allocation.SPARSE),
        (DiskFormat.RAW, Allocation.PREALLOCATED),
    ]


def test_without_a_disk_there_is_no_target() -> None:
    with pytest.raises(InvalidSourceError):
        targeted()


def test_a_disk_of_unknown_size_can_not_be_made() -> None:
    with pytest.raises(InvalidSourceError, match="'a'"):
        targeted(disk("a", None))


@pytest.mark.parametrize(
    ("vm_name", "safe"),
    [
        ("web-1.example", "web-1.example"),
        ("-o /etc", "o_etc"),
        ("..", "vm"),
        (".hidden", "hidden"),
        ("a'b\"c$(d)`e`\nf", "a_b_c_d_e_f"),
        ("名前", "vm"),
        ("a" * 300, "a" * LONGEST_FILE_NAME),
    ],
)
def test_a_vm_name_is_made_safe_for_files(vm_name: str, safe: str) -> None:
    assert file_name(vm_name) == safe
