"""A hypervisor's host as libvirt's test driver has it: its VMs come and go with the imports of a run."""

from itertools import count
from pathlib import Path
from uuid import UUID

from tests.support.libvirt import domain, node


class Hypervisor:
    """What `test://FILE` says that there is: one VM for each image that was handed over."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._domains: dict[Path, str] = {}
        self._numbers = count(1)
        self._write()

    @property
    def url(self) -> str:
        return f"test://{self._file}"

    def add(self, image: Path) -> str:
        """The id of a new VM that has the image as its disk."""
        number = next(self._numbers)
        vm_id = str(UUID(int=number, version=4))
        disk = (
            f"<disk type='file' device='disk'><driver name='qemu' type='{image.suffix[1:]}'/>"
            f"<source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
        )
        self._domains[image] = domain(f"vm {number}", vm_id, disks=[disk])
        self._write()
        return vm_id

    def drop(self, image: Path) -> None:
        if self._domains.pop(image, None) is not None:
            self._write()

    def _write(self) -> None:
        """It is read at any time."""
        node(self._file.with_suffix(".part"), *self._domains.values()).rename(self._file)
