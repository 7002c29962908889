"""Looks into a guest with libguestfs, read-only: its system, its file systems, what it boots with.

It runs as a job of its own, where virt-v2v would. The guest is opened in libguestfs's small virtual machine,
never on the host; whatever the guest says is only told. What can't be found out is left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from app.proxy.agent import files
from app.proxy.agent.commands import run
from app.proxy.agent.images import ImageFile, safe_images
from app.proxy.agent.looking import opened
from app.proxy.agent.refusals import RefusedError, UnsafeImageError

RESULT = "guest.json"
START_SECONDS, LAUNCH_SECONDS, ASK_SECONDS = 60.0, 600.0, 120.0
LONGEST_TEXT = 4096
LONGEST_FSTAB = 64 << 10
MOST_FILE_SYSTEMS, MOST_KERNELS = 64, 32
ASKED = ("type", "distro", "product-name", "major-version", "minor-version", "arch", "package-format")
EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
VIRTIO_WIN = ("/usr/share/virtio-win", "/usr/local/share/virtio-win")
"""Where virt-v2v looks for drivers."""
_PID = re.compile(r"GUESTFISH_PID=(\d+)")
_PARTITION = re.compile(r"part_num: (\d+)")
_UNSTABLE = re.compile(r"/dev/disk/by-(path|id)/|/dev/(hd|sd|vd|xvd)[a-z]")
"""Names of devices that another bus or another hypervisor changes."""


class Order(NamedTuple):
    """`disks` in the guest's order; `checked` are those that lie at the source, with what each stands on."""

    roots: list[str]
    disks: list[ImageFile]
    checked: list[list[ImageFile]]


class Guestfish:
    """A running guestfish that holds the guest's disks, read-only."""

    def __init__(self, disks: list[ImageFile]) -> None:
        words = [word for disk in disks for word in (f"--format={disk.format}", "-a", disk.path)]
        self._remote = f"--remote={_listening(['guestfish', '--listen', '--ro', *words])}"
        self.must("run", seconds=LAUNCH_SECONDS)

    def must(self, *words: str, seconds: float = ASK_SECONDS) -> str:
        """What it answers. Raises RefusedError."""
        done = run(["guestfish", self._remote, "--", *words], seconds)
        if done.status != 0:
            raise RefusedError(f"guestfish {words[0]} failed: {done.stderr or 'its log has more'}")
        return done.stdout.decode(errors="replace").strip()

    def ask(self, *words: str) -> str:
        """What it answers; nothing when it can't."""
        try:
            return self.must(*words)[:LONGEST_FSTAB]
        except RefusedError:
            return ""

    def lines(self, *words: str) -> list[str]:
        return [line for line in self.ask(*words).splitlines() if line]


def _listening(argv: list[str]) -> str:
    """The process id of a guestfish that goes on in the background. Raises RefusedError."""
    try:
        # It keeps our standard error, so that is the job's log and no pipe: that would never end.
        started = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=START_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise RefusedError("guestfish is not installed on the proxy host.") from error
    except subprocess.TimeoutExpired as error:
        raise RefusedError(f"guestfish did not start within {START_SECONDS:g} s.") from error
    found = _PID.search(started.stdout.decode(errors="replace"))
    if found is None:
        raise RefusedError(f"guestfish could not be started: it ended with {started.returncode}.")
    return found.group(1)


def inspect(words: list[str]) -> None:
    """Carry out the order in the file that the first word names; the answer lies beside it."""
    order_path = Path(words[0])
    try:
        answer = _carry_out(_order(order_path))
    except (RefusedError, OSError, subprocess.SubprocessError) as error:
        sys.stdout.write(f"error: {error}\n")
        answer = {"error": str(error)[:LONGEST_TEXT]}
    files.write_whole(order_path.with_name(RESULT), json.dumps(answer).encode())


def _order(path: Path) -> Order:
    given = json.loads(path.read_text(encoding="utf-8"))
    disks = [ImageFile(**disk) for disk in given["disks"]]
    checked = [[ImageFile(**image) for image in images] for images in given["checked"]]
    return Order(given["roots"], disks, checked)


def _carry_out(order: Order) -> dict[str, object]:
    for image, *chain in order.checked:
        with opened(image.path, order.roots) as found:
            if safe_images(found, image.format, order.roots, [file.path for file in chain]) != (
                image,
                *chain,
            ):
                raise UnsafeImageError(f"{image.path!r} has become another image since it was looked at.")
    guest = Guestfish(order.disks)
    try:
        return _guest(guest)
    finally:
        guest.ask("exit")


def _guest(guest: Guestfish) -> dict[str, object]:
    roots = guest.lines("inspect-os")
    firmware = _firmware(guest)
    if not roots:
        return {"type": None, "firmware": firmware}
    root = roots[0]
    told = {name: guest.ask(f"inspect-get-{name}", root)[:LONGEST_TEXT] for name in ASKED}
    mounted = _mounted(guest, root)
    return {
        "type": told["type"],
        "distro": told["distro"],
        "name": told["product-name"],
        "version": f"{told['major-version']}.{told['minor-version']}",
        "architecture": told["arch"],
        "package_format": told["package-format"],
        "firmware": firmware,
        "root_count": len(roots),
        "filesystems": mounted,
        **(_windows(guest, root) if told["type"] == "windows" else _linux(guest)),
    }


def _firmware(guest: Guestfish) -> str:
    """As virt-v2v has it: a GPT with an EFI system partition boots by UEFI."""
    for device in guest.lines("list-devices"):
        if guest.ask("part-get-parttype", device) != "gpt":
            continue
        for number in _PARTITION.findall(guest.ask("part-list", device)):
            if guest.ask("part-get-gpt-type", device, number).upper() == EFI_SYSTEM:
                return "uefi"
    return "bios"


def _mounted(guest: Guestfish, root: str) -> list[dict[str, object]]:
    """Mount what the guest would, the outer before the inner; and the room that each has."""
    lines = guest.lines("inspect-get-mountpoints", root)
    pairs = [(place, device) for place, _, device in (line.rpartition(": ") for line in lines)]
    in_order = sorted(pairs, key=lambda pair: len(pair[0]))[:MOST_FILE_SYSTEMS]
    return [_file_system(guest, place, device) for place, device in in_order]


def _file_system(guest: Guestfish, place: str, device: str) -> dict[str, object]:
    told: dict[str, object] = {"mount_point": place, "device": device, "size_bytes": None, "free_bytes": None}
    try:
        guest.must("mount-ro", device, place)
    except RefusedError:
        return told
    numbers = dict(line.split(": ") for line in guest.lines("statvfs", place) if ": " in line)
    block = int(numbers.get("bsize", 0))
    return {
        **told,
        "type": guest.ask("vfs-type", device),
        "size_bytes": block * int(numbers.get("blocks", 0)),
        "free_bytes": block * int(numbers.get("bfree", 0)),
    }


def _linux(guest: Guestfish) -> dict[str, object]:
    kernels = guest.lines("ls", "/lib/modules")[:MOST_KERNELS]
    modules = guest.lines("glob-expand", "/lib/modules/*/kernel/drivers/block/virtio_blk.ko*")
    built_in = [
        kernel
        for kernel in kernels
        if guest.ask("grep", "virtio_blk", f"/lib/modules/{kernel}/modules.builtin")
    ]
    return {
        "kernels": kernels,
        "has_virtio": bool(modules or built_in) if kernels else None,
        "unstable_devices": _unstable(guest),
    }


def _unstable(guest: Guestfish) -> list[str]:
    """The devices in /etc/fstab whose names may not be theirs any more after the import."""
    size = guest.ask("filesize", "/etc/fstab")
    if not size.isdigit() or int(size) > LONGEST_FSTAB:
        return []
    entries = [line.split() for line in guest.lines("read-lines", "/etc/fstab")]
    devices = [entry[0] for entry in entries if entry and not entry[0].startswith("#")]
    return sorted({device[:LONGEST_TEXT] for device in devices if _UNSTABLE.match(device)})


def _windows(guest: Guestfish, root: str) -> dict[str, object]:
    system = guest.ask("inspect-get-windows-systemroot", root)
    driver = guest.ask("case-sensitive-path", f"{system}/system32/drivers/viostor.sys")
    drivers = [os.environ.get("VIRTIO_WIN", ""), *VIRTIO_WIN]
    return {
        "has_virtio": bool(driver) and guest.ask("is-file", driver) == "true",
        "host_has_virtio_win": any(path and Path(path).exists() for path in drivers),
    }
