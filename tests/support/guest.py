"""A small real Linux guest: built by scripts/build-guest, looked into, and started under QEMU."""

import contextlib
import hashlib
import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BUILD = Path(__file__).parents[2] / "scripts" / "build-guest"
BUILD_SECONDS = 900
BOOT_SECONDS = 240
PARTITION_OFFSET = 2**16
"""Where the only partition of each disk begins."""


@dataclass(frozen=True)
class Guest:
    directory: Path

    @property
    def ova(self) -> Path:
        return self.directory / "guest.ova"

    @property
    def root_disk(self) -> Path:
        return self.directory / "root.qcow2"


@pytest.fixture(scope="session")
def guest() -> Guest:
    """The guest whose update-initramfs makes nothing, so that it converts in a minute."""
    built = subprocess.run(
        [BUILD, "--quick"], check=True, stdout=subprocess.PIPE, text=True, timeout=BUILD_SECONDS
    )
    return Guest(Path(built.stdout.strip()))


def data_is_whole(raw_disk: Path) -> bool:
    """Whether the second disk holds the files that were put on it, byte for byte."""
    sums = _file_on(raw_disk, "/sums").decode()
    expected = dict(reversed(line.split()) for line in sums.splitlines())
    return expected.keys() == {"known", "random"} and all(
        hashlib.sha256(_file_on(raw_disk, f"/{name}")).hexdigest() == checksum
        for name, checksum in expected.items()
    )


def _file_on(raw_disk: Path, path: str) -> bytes:
    command = ["debugfs", "-R", f"cat {path}", f"{raw_disk}?offset={PARTITION_OFFSET}"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def boots_to_its_login_prompt(disks: list[Path]) -> None:
    """Start a VM from raw disks, which stay as they are. Raises AssertionError with what it printed."""
    printed = b""
    with _running_vm(disks) as vm, selectors.DefaultSelector() as selector:
        assert vm.stdout is not None
        selector.register(vm.stdout, selectors.EVENT_READ)
        deadline = time.monotonic() + BOOT_SECONDS
        while b"login:" not in printed:
            assert selector.select(deadline - time.monotonic()), printed.decode(errors="replace")
            read = os.read(vm.stdout.fileno(), 65_536)
            printed += read
            assert read, printed.decode(errors="replace")
            assert b"Kernel panic" not in printed, printed.decode(errors="replace")


@contextlib.contextmanager
def _running_vm(disks: list[Path]) -> "Iterator[subprocess.Popen[bytes]]":
    drives = [f"file.filename={disk},file.driver=file,format=raw,if=virtio" for disk in disks]
    vm = subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-snapshot", "-nographic", "-nic", "none"]
        + [argument for drive in drives for argument in ("-drive", drive)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield vm
    finally:
        vm.kill()
        vm.wait()
