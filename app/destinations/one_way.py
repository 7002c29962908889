"""What virt-v2v can do for a VM's disks only in one way: its format, its allocation, its place."""

from collections.abc import Iterator

from app.formats.domain_writer import DEVICES
from app.models.imports import DiskProperties, ImportProperties


def mixed(properties: ImportProperties) -> list[tuple[str, str]]:
    """(JSON pointer, sentence) of each disk that asks for something else than the VM's other disks.

    What is only copied is copied disk by disk, each in its own way.
    """
    return [
        (f"/disks/{number}/{member}", sentence)
        for number, disk in enumerate(properties.disks)
        if disk.include
        for member, sentence in _differences(disk, properties)
    ]


def _differences(disk: DiskProperties, properties: ImportProperties) -> Iterator[tuple[str, str]]:
    if disk.storage_domain_id not in {None, properties.storage_domain_id}:
        yield "storage_domain_id", "All disks of a VM go to the import's storage domain."
    if properties.conversion.is_copy:
        if disk.bus not in {None, *DEVICES}:
            yield "bus", f"The bus of a disk is one of {', '.join(DEVICES)}."
        return
    defaults = properties.disk_defaults
    if disk.format not in {None, defaults.format}:
        yield "format", "virt-v2v writes all disks of a VM in one format; set `disk_defaults.format`."
    if disk.allocation not in {None, defaults.allocation}:
        yield "allocation", "virt-v2v allocates all disks of a VM one way; set `disk_defaults.allocation`."
    if disk.bus is not None:
        yield "bus", "virt-v2v chooses the bus by the drivers that the guest has."
