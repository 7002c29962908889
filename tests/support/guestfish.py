"""A stand-in for guestfish that answers from a table, first in a host's PATH."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.support.sshd import HOST_PATH

_PROGRAM = """#!/usr/bin/env python3
import json, os, pathlib, subprocess, sys
here = pathlib.Path(__file__).parent
with (here / "asked").open("a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
answers = json.loads((here / "answers.json").read_text())
if "--listen" in sys.argv:
    server = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
    print(f"GUESTFISH_PID={server.pid}; export GUESTFISH_PID")
    sys.exit(0)
words = " ".join(sys.argv[3:])
while words == "run" and (here / "hold").exists():
    pass
if words == "exit":
    os.kill(int(sys.argv[1].split("=")[1]), 15)
if words not in answers:
    sys.exit(1)
print(answers[words])
"""

DEBIAN = {
    "run": "",
    "exit": "",
    "inspect-os": "/dev/sda2",
    "inspect-get-type /dev/sda2": "linux",
    "inspect-get-distro /dev/sda2": "debian",
    "inspect-get-product-name /dev/sda2": "Debian GNU/Linux 12 (bookworm)",
    "inspect-get-major-version /dev/sda2": "12",
    "inspect-get-minor-version /dev/sda2": "5",
    "inspect-get-arch /dev/sda2": "x86_64",
    "inspect-get-package-format /dev/sda2": "deb",
    "list-devices": "/dev/sda",
    "part-get-parttype /dev/sda": "gpt",
    "part-list /dev/sda": "[0] = {\n  part_num: 1\n}\n[1] = {\n  part_num: 2\n}",
    "part-get-gpt-type /dev/sda 1": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "part-get-gpt-type /dev/sda 2": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "inspect-get-mountpoints /dev/sda2": "/boot: /dev/sda3\n/: /dev/sda2\n/data: /dev/sdb1",
    "mount-ro /dev/sda2 /": "",
    "mount-ro /dev/sda3 /boot": "",
    "statvfs /": "bsize: 4096\nblocks: 1000000\nbfree: 500000",
    "statvfs /boot": "bsize: 1024\nblocks: 100000\nbfree: 1024",
    "vfs-type /dev/sda2": "ext4",
    "vfs-type /dev/sda3": "ext2",
    "ls /lib/modules": "6.1.0-18-amd64",
    "glob-expand /lib/modules/*/kernel/drivers/block/virtio_blk.ko*": "",
    "grep virtio_blk /lib/modules/6.1.0-18-amd64/modules.builtin": "kernel/drivers/block/virtio_blk.ko",
    "filesize /etc/fstab": "100",
    "read-lines /etc/fstab": "# fstab\nUUID=1 / ext4\n/dev/sdb1 /data ext4\n/dev/disk/by-path/pci-0 /x ext4",
}
"""A guest with two disks, one of whose file systems can't be mounted."""


class StandInGuestfish:
    def __init__(self, directory: Path, answers: Mapping[str, str] | None = None) -> None:
        self._directory = directory / "guestfish-bin"
        self._directory.mkdir()
        program = self._directory / "guestfish"
        program.write_text(_PROGRAM)
        program.chmod(0o755)
        (self._directory / "answers.json").write_text(json.dumps(DEBIAN if answers is None else answers))

    @property
    def path(self) -> str:
        """The host's PATH."""
        return f"{self._directory}:{HOST_PATH}"

    def hold(self) -> None:
        """From now on the guest's start takes for ever."""
        (self._directory / "hold").touch()

    def asked(self) -> list[list[str]]:
        file = self._directory / "asked"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
