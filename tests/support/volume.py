"""A small file system of its own, which a fault may fill up."""

import os
import subprocess
from pathlib import Path

GIB = 2**30
SPARE_BYTES = 16 * 2**10


class Volume:
    """A tmpfs mounted at a directory; its size is a limit, and takes no memory. Mounting takes root."""

    def __init__(self, path: Path, *, size_bytes: int = 16 * GIB) -> None:
        self.path, self._size_bytes = path, size_bytes

    def mount(self) -> None:
        self.path.mkdir(parents=True)
        self._mount(f"size={self._size_bytes},mode=0755")

    def unmount(self) -> None:
        # Lazily: what still has a file open there is ended by whoever started it.
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def fill(self) -> None:
        """Take away all the room that is free."""
        found = os.statvfs(self.path)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        # Somebody may write between the look and the mount, which is refused then.
        for spare in range(20):
            if self._mount(f"remount,size={used + SPARE_BYTES * 2**spare}", check=False):
                return

    def free(self) -> None:
        self._mount(f"remount,size={self._size_bytes}")

    def _mount(self, options: str, *, check: bool = True) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.path)]
        return subprocess.run(command, check=check, capture_output=True).returncode == 0
