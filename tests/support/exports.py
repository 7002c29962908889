"""An NFS server for tests: the kernel of the machine that runs them may know no NFS.

A stand-in for `mount`, first in the host's PATH, takes what the real one would be asked and binds a local
folder instead, as unwritable as it was asked for. All the rest (namespaces, errors, what is left) is real.
"""

from pathlib import Path

from tests.support.sshd import HOST_PATH

_MOUNT = """#!/bin/sh
echo "$*" >> {log}
[ "$1 $2" = "-t nfs" ] || exec /bin/mount "$@"
server=${{6%%:/*}} folder="{exports}/${{6%%:/*}}/${{6#*:/}}"
if [ ! -d "$folder" ]; then
    echo "mount.nfs: access denied by server while mounting $6" >&2
    exit 32
fi
/bin/mount --bind -- "$folder" "$7" && /bin/mount -o remount,bind,ro,nosuid,nodev,noexec -- "$7"
"""


class Exports:
    """Servers whose exports are folders: `nas.example:/vms` is `nas.example/vms`."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._bin = directory / "exports", directory / "mount-bin"
        self._log = directory / "mounts.log"
        self.directory.mkdir()
        self._bin.mkdir()
        program = self._bin / "mount"
        program.write_text(_MOUNT.format(log=self._log, exports=self.directory))
        program.chmod(0o755)

    @property
    def path(self) -> str:
        """The host's PATH."""
        return f"{self._bin}:{HOST_PATH}"

    def export(self, name: str = "nas.example/vms") -> Path:
        folder = self.directory / name
        folder.mkdir(parents=True)
        return folder

    def asked(self) -> list[str]:
        """What was asked of `mount`, one line each."""
        return self._log.read_text().splitlines() if self._log.exists() else []


def mounted_below(directory: Path) -> list[str]:
    """What this machine's own processes see mounted there."""
    return _mounts_below("self", directory)


def sees_mount(pid: int, work_dir: Path) -> bool:
    """Whether this process sees something mounted in the work directory."""
    return _mounts_below(str(pid), work_dir) != []


def _mounts_below(process: str, directory: Path) -> list[str]:
    lines = Path(f"/proc/{process}/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(f"{directory}/")]


def left_in(directory: str) -> list[str]:
    """What everybody sees in the directory of a mount."""
    return sorted(path.name for path in Path(directory).iterdir())
