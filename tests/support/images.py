"""Disk images for tests, made by the real qemu-img."""

import subprocess
from pathlib import Path

MIB = 2**20


def make_image(path: Path, format_name: str, *, size_bytes: int = 4 * MIB, options: str = "") -> Path:
    """An empty image, whatever its name looks like."""
    extra = ["-o", options] if options else []
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", format_name, *extra, "--", str(path), str(size_bytes)], check=True
    )
    return path


def make_backed(path: Path, backing: str, backing_format: str = "raw", *, size_bytes: int = 4 * MIB) -> Path:
    """A qcow2 image that makes whoever opens it open `backing` too."""
    command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", backing_format, "-b", backing]
    subprocess.run([*command, "--", str(path), str(size_bytes)], check=True)
    return path
