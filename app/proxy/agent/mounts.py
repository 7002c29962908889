"""Mounts exports and devices read-only, seen by this process and by what it starts, and by nobody else.

The mounts are in a mount namespace of their own. The kernel undoes them with the last process in it, however
that ends, so that nothing has to be undone by us.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from app.proxy.agent import commands, own_mounts
from app.proxy.agent.refusals import MountFailedError
from app.proxy.agent.telling import Told

NFS, DEVICE = "nfs", "device"
MOUNT_SECONDS = 20.0
ASK_SECONDS = 10.0
SAFE = "ro,nosuid,nodev,noexec"
BOUNDED = "soft,timeo=100,retrans=3,retry=0"
"""A server that goes away is an error after half a minute, and no process that nobody can end."""
WITHOUT_JOURNAL = {
    "ext2": "",
    "ext3": ",noload",
    "ext4": ",noload",
    "xfs": ",norecovery",
    "btrfs": ",norecovery",
    "vfat": "",
    "iso9660": "",
    "udf": "",
}
"""The file systems that a device may have, and what keeps each from writing to it even so."""
_NAME = re.compile("[0-9a-f]{16}")


class Mount(NamedTuple):
    """`source` is `server:/export` or a device; `name` is the directory for it in the work directory."""

    kind: str
    source: str
    name: str
    version: str | None = None
    """Of the NFS protocol; none = what both sides can do."""


def mount_all(work_dir: str, mounts: list[dict[str, str]]) -> None:
    """Raises MountFailedError."""
    if not mounts:
        return
    _enter_namespace()
    for given in mounts:
        mount = Mount(**given)
        if not _NAME.fullmatch(mount.name):
            raise MountFailedError(f"{mount.name!r} is no name of a mount.")
        directory = Path(work_dir) / "mnt" / mount.name
        for made in (directory.parent, directory):
            made.mkdir(mode=0o700, exist_ok=True)
        _mount(mount, directory)


def run_mounted(order_path: str, argv: list[str]) -> None:
    """Mount what the order says, then run the program in our place."""
    order = json.loads(Path(order_path).read_text(encoding="utf-8"))
    try:
        mount_all(order["work_dir"], order["mounts"])
    except (MountFailedError, OSError) as error:
        Told(argv).say("error", f"The source could not be mounted: {error}")
        os._exit(1)
    os.execv(argv[0], argv)  # noqa: S606  # the program that the service asked for


def _enter_namespace() -> None:
    if os.geteuid() != 0:
        raise MountFailedError("Only root can mount exports and devices.")
    try:
        own_mounts.leave_the_hosts()
    except OSError as error:
        raise MountFailedError(f"The host's mounts can't be left alone: {error}.") from error


def _mount(mount: Mount, directory: Path) -> None:
    if mount.kind == NFS:
        options = f"{SAFE},{BOUNDED}" + (f",vers={mount.version}" if mount.version else "")
        _run(["mount", "-t", "nfs", "-o", options, "--", mount.source, str(directory)])
        return
    form = _file_system(mount.source)
    options = SAFE + WITHOUT_JOURNAL[form]
    _run(["mount", "-t", form, "-o", options, "--", mount.source, str(directory)])


def _file_system(device: str) -> str:
    """What is on the device, if it is one that we mount."""
    try:
        is_device = stat.S_ISBLK(Path(device).stat().st_mode)
    except OSError as error:
        raise MountFailedError(f"{device!r} can't be used: {error.strerror}.") from error
    if not is_device:
        raise MountFailedError(f"{device!r} is no block device.")
    asked = commands.run(["blkid", "-p", "-o", "value", "-s", "TYPE", "--", device], ASK_SECONDS)
    form = asked.stdout.decode(errors="replace").strip()
    if form not in WITHOUT_JOURNAL:
        raise MountFailedError(f"{device!r} holds {form or 'no file system'}, which is not mounted.")
    return form


def _run(argv: list[str]) -> None:
    try:
        done = commands.run(argv, MOUNT_SECONDS)
    except commands.TooSlowError as error:
        raise MountFailedError(f"{argv[-2]!r} could not be mounted: {error}") from error
    if done.status != 0:
        raise MountFailedError(f"{argv[-2]!r} could not be mounted: {done.stderr or done.status}")
