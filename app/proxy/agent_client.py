"""The typed face of the host agent: what the service asks of a program on a proxy host."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Base64Bytes, BaseModel, ConfigDict

from app.models.vm import ImageFile
from app.proxy.answers import answer_of, read_as
from app.proxy.base import Channel, CommandResult, Proxy
from app.proxy.folders import FolderAgent
from app.proxy.inventories import Inventory
from app.proxy.mounts import Mount
from app.proxy.ovirt import OvirtAgent
from app.proxy.provider_images import ProviderImagesAgent
from app.proxy.uploads import UploadAgent

QUICK_SECONDS = 30.0
"""For what touches only metadata."""
SLOW_SECONDS = 120.0
"""For what reads or writes disks: a tar's index, a preallocated volume's creation, the removal of a tree."""


_CANT_OPEN = 2
"""Python's exit status when it can't open the program."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Names(_Answer):
    """What lies in a directory."""

    names: tuple[str, ...]


class _Data(_Answer):
    """A file's bytes."""

    data: Base64Bytes


class HostProbe(_Answer):
    """What the host is and has. `v2v_version` and `v2v_capabilities` are virt-v2v's own words."""

    is_root: bool
    boot_id: str
    cpu_count: int
    memory_bytes: int
    free_bytes: int
    """In the work directory's file system, for this user."""
    v2v_version: str
    v2v_capabilities: str


class PathKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    BLOCK_DEVICE = "block_device"


class Look(_Answer):
    """A path that may be read. `path` is the real one, links resolved; `names` are a directory's entries."""

    path: str
    kind: PathKind
    size_bytes: int
    names: tuple[str, ...] = ()


class ImageInfo(_Answer):
    """A disk image as `qemu-img info` reads it, its format pinned from the header that we read ourselves."""

    path: str
    format: str
    virtual_bytes: int
    actual_bytes: int
    compression: str | None = None
    """`gzip` where the image is compressed by itself; it was then looked at by its beginning."""
    chain: tuple[ImageFile, ...] = ()
    """The images that it stands on, the nearest first."""
    chain_bytes: int = 0
    """What those take on the disk."""


class TarMember(_Answer):
    """One regular file in a tar; `offset` is where its bytes begin (of no use in a compressed tar)."""

    name: str
    size_bytes: int
    offset: int


class TarIndex(_Answer):
    members: tuple[TarMember, ...]
    compressed: bool


class AttemptPlace(_Answer):
    """An attempt's own directories: `directory` (0700) and a short one for sockets."""

    directory: str
    tmp: str
    cache: str
    """The libguestfs appliance's cache, shared by the host's attempts."""


class JobState(StrEnum):
    ABSENT = "absent"
    """No such attempt on this host (any more)."""
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"
    """Started, and nobody is left to say how it ended: killed with its supervisor, or the host rebooted.

    Something that it started may live on; `stop` ends that.
    """


class JobStatus(_Answer):
    """How the attempt's virt-v2v is. A negative `exit_code` is the signal that ended it."""

    state: JobState
    exit_code: int | None = None
    log_bytes: int = 0
    stopped: bool = False
    """Whether `stop` was asked for."""


class SpaceInfo(_Answer):
    free_bytes: int
    total_bytes: int


class HostAgent(UploadAgent, OvirtAgent, ProviderImagesAgent, FolderAgent):
    """Asks the agent on one proxy host. Every method raises a HostError subclass when the host can't be used.

    What changes something names its attempt and turn; it raises FencedError, and changes nothing, when the
    host has seen a higher turn of that attempt. Everything may be asked twice.
    """

    def __init__(
        self,
        proxy: Proxy,
        agent_path: str,
        installation_id: UUID,
        put_in_place: Callable[[], Awaitable[None]],
    ) -> None:
        """`agent_path` is where the program lies on the host; `put_in_place` puts it there (again).

        What the agent makes carries the mark of the installation.
        """
        self.proxy = proxy
        self._path = agent_path
        self._installation_id = installation_id
        self._put_in_place = put_in_place
        self._mounts: tuple[Mount, ...] = ()
        # Isolated: nothing in the host's environment or its site-packages changes what the program does.
        self._argv = ("python3", "-I", "-S", agent_path)

    async def _ask(self, verb: str, timeout_seconds: float = QUICK_SECONDS, **request: Any) -> Any:
        whole = {"work_dir": self.proxy.address.work_dir, "timeout_seconds": timeout_seconds, **request}
        if self._mounts:
            whole["mounts"] = [mount.order() for mount in self._mounts]
        body = json.dumps(whole, default=str).encode()
        result = await self._run(verb, body, timeout_seconds)
        if _is_gone(result, self._path):
            await self._put_in_place()
            result = await self._run(verb, body, timeout_seconds)
        return answer_of(verb, result)

    async def _run(self, verb: str, body: bytes, timeout_seconds: float) -> CommandResult:
        return await self.proxy.run([*self._argv, verb], timeout_seconds=timeout_seconds, stdin=body)

    def _mark(self, attempt_id: UUID, turn: int) -> dict[str, Any]:
        """What a verb needs that puts the marker somewhere."""
        return {"attempt_id": attempt_id, "turn": turn, "installation_id": self._installation_id}

    def mounting(self, *mounts: Mount) -> "HostAgent":
        """The same agent, for which all that it looks at lies in these mounts.

        What it asks for raises MountFailedError as well.
        """
        agent = copy(self)
        agent._mounts = mounts  # noqa: SLF001  # its own class
        return agent

    async def ready(self) -> None:
        """The program is there (put back if need be), and so is the work directory."""
        await self._ask("ready")

    # --- looking: changes nothing ---

    async def probe(self, *, virt_v2v_path: str, environment: Mapping[str, str]) -> HostProbe:
        """Raises WorkDirUnusableError, VirtV2vMissingError, SudoRefusedError."""
        answer = await self._ask("probe", virt_v2v_path=virt_v2v_path, environment=dict(environment))
        return read_as(HostProbe, answer)

    async def look(self, path: str, *, roots: Sequence[str]) -> Look:
        """What lies at a path, links resolved.

        Raises SourceNotFoundError, SourceNotAllowedError (outside the roots), SourceUnreadableError.
        """
        return read_as(Look, await self._ask("look", path=path, roots=list(roots)))

    async def read(self, path: str, *, roots: Sequence[str], limit_bytes: int) -> bytes:
        """A whole file of at most `limit_bytes`. Raises as `look`; InvalidSourceError when it is longer."""
        answer = await self._ask("read", path=path, roots=list(roots), limit_bytes=limit_bytes)
        return read_as(_Data, answer).data

    async def image_info(
        self,
        path: str,
        *,
        roots: Sequence[str],
        format: str | None = None,  # noqa: A002
        beside: Sequence[str] = (),
    ) -> ImageInfo:
        """A source image, looked at safely. `format` pins it; without one the header tells.

        Raises as `look`; UnsafeImageError for a backing file, data file or extent that lies outside its own
        directory and isn't in `beside`; InvalidSourceError when it is no image of that format.
        """
        answer = await self._ask(
            "image_info", path=path, roots=list(roots), format_name=format, beside=list(beside)
        )
        return read_as(ImageInfo, answer)

    async def tar_list(self, path: str, *, roots: Sequence[str]) -> TarIndex:
        """The regular files in a tar or tar.gz. Raises as `look`, and InvalidSourceError for a broken archive
        or a member with an absolute path, `..`, or that is a link or device.
        """
        answer = await self._ask("tar_list", SLOW_SECONDS, path=path, roots=list(roots))
        return read_as(TarIndex, answer)

    async def tar_read(self, path: str, member: str, *, roots: Sequence[str], limit_bytes: int) -> bytes:
        """One member, whole. Raises as `tar_list`; SourceNotFoundError when there is none of that name."""
        request = {"path": path, "member": member, "roots": list(roots), "limit_bytes": limit_bytes}
        return read_as(_Data, await self._ask("tar_read", SLOW_SECONDS, **request)).data

    async def tar_image_info(self, path: str, member: str, *, roots: Sequence[str]) -> ImageInfo:
        """A disk image inside an uncompressed tar, from its header alone (nothing is extracted)."""
        answer = await self._ask("tar_image_info", SLOW_SECONDS, path=path, member=member, roots=list(roots))
        return read_as(ImageInfo, answer)

    async def gzip_image_info(self, path: str, *, roots: Sequence[str]) -> ImageInfo:
        """A disk image compressed with gzip, from its beginning alone. Raises as `image_info`."""
        answer = await self._ask("gzip_image_info", path=path, roots=list(roots))
        return ImageInfo.model_validate(answer)

    async def probe_dir(self, path: str) -> SpaceInfo:
        """Really write, read and delete 4 KiB in a storage directory. Raises DomainUnusableError."""
        return read_as(SpaceInfo, await self._ask("probe_dir", path=path))

    async def disk_result(self, path: str, *, format: str) -> ImageInfo:  # noqa: A002
        """An image that virt-v2v wrote.

        Raises SourceNotFoundError; InvalidSourceError, UnsafeImageError (unreadable, another format, or one
        that needs other files).
        """
        return read_as(ImageInfo, await self._ask("disk_result", path=path, format_name=format))

    async def list_result(self, path: str) -> tuple[str, ...]:
        """The names in a directory that virt-v2v wrote to. Raises SourceNotFoundError, InvalidSourceError."""
        return read_as(_Names, await self._ask("list_result", path=path)).names

    async def read_result(self, path: str, *, limit_bytes: int) -> bytes:
        """A metadata file that virt-v2v wrote. Raises SourceNotFoundError, InvalidSourceError (too long)."""
        answer = await self._ask("read_result", path=path, limit_bytes=limit_bytes)
        return read_as(_Data, answer).data

    async def inventory(self, *, storage: Sequence[str], most: int, seconds: float) -> Inventory:
        """What carries a marker: in the work directory, among the processes, in these storage directories.

        At most so many of each, found within so many seconds; `complete` says whether that was all.
        """
        bounds = {"most": most, "seconds": seconds}
        answer = await self._ask("inventory", seconds + QUICK_SECONDS, storage=list(storage), **bounds)
        return read_as(Inventory, answer)

    # --- an attempt and its virt-v2v ---

    def own(self, verb: str, *words: str) -> tuple[str, ...]:
        """The command that starts the agent itself as an attempt's job."""
        return (*self._argv, verb, *words)

    async def create_attempt(self, attempt_id: UUID, turn: int) -> AttemptPlace:
        """Make the attempt's private directories. Raises WorkDirUnusableError, FencedError."""
        return read_as(AttemptPlace, await self._ask("create_attempt", **self._mark(attempt_id, turn)))

    async def write(self, attempt_id: UUID, turn: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
        """Write a file into the attempt's directory, atomically. `name` is a plain file name."""
        encoded = base64.b64encode(data).decode()
        await self._ask("write", attempt_id=attempt_id, turn=turn, name=name, data=encoded, mode=mode)

    async def launch(
        self,
        attempt_id: UUID,
        turn: int,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        secret_files: Sequence[str],
        preparation: Mapping[str, Any] | None = None,
        mounts: Sequence[Mount] = (),
    ) -> JobStatus:
        """Start virt-v2v detached, at most once an attempt: when it was started before, say how it is.

        `preparation` is an order for `app.proxy.agent.preparing`, carried out in the job before virt-v2v.
        `mounts` are there for the job alone, and end with it.

        `secret_files` (names in the attempt's directory) are removed when its process group is gone.
        Raises FencedError, VirtV2vMissingError; after `stop` nothing is started any more.
        """
        answer = await self._ask(
            "launch",
            attempt_id=attempt_id,
            turn=turn,
            argv=list(argv),
            environment=dict(environment),
            secret_files=list(secret_files),
            preparation=preparation,
            mounted=[mount.order() for mount in mounts],
        )
        return read_as(JobStatus, answer)

    async def status(self, attempt_id: UUID) -> JobStatus:
        return read_as(JobStatus, await self._ask("status", attempt_id=attempt_id))

    async def stop(self, attempt_id: UUID, turn: int, *, grace_seconds: float) -> JobStatus:
        """TERM, wait, KILL, look that it is gone; a launch that comes later does nothing.

        What carries the attempt's marker is ended also where its directory is gone. Answers `running` when
        something survived even that.
        """
        answer = await self._ask(
            "stop",
            grace_seconds + SLOW_SECONDS,
            attempt_id=attempt_id,
            turn=turn,
            grace_seconds=grace_seconds,
        )
        return read_as(JobStatus, answer)

    async def remove_attempt(self, attempt_id: UUID, turn: int) -> None:
        """Remove the attempt's directories; refuses (HostCommandError) while something of it runs."""
        await self._ask("remove_attempt", SLOW_SECONDS, attempt_id=attempt_id, turn=turn)

    def watch(self) -> AbstractAsyncContextManager[Channel]:
        """The channel that follows logs; its frames are read by `proxy.watching`."""
        return self.proxy.open([*self._argv, "watch", self.proxy.address.work_dir])

    # --- storage ---

    async def make_dir(
        self,
        path: str,
        attempt_id: UUID,
        turn: int,
        *,
        mode: int = 0o755,
        owner: tuple[int, int] | None = None,
    ) -> None:
        """Make one directory that carries the attempt's marker. Its parent must be there.

        Raises DomainUnusableError; also when the path is there without this attempt's marker.
        """
        await self._ask("make_dir", path=path, mode=mode, owner=owner, **self._mark(attempt_id, turn))

    async def make_image(
        self,
        path: str,
        attempt_id: UUID,
        turn: int,
        *,
        format: str,  # noqa: A002
        capacity_bytes: int,
        preallocated: bool,
        options: Sequence[str] = (),
        mode: int = 0o660,
        owner: tuple[int, int] | None = None,
    ) -> None:
        """Make an empty image (`options` as `qemu-img create -o`) in a directory of the attempt.

        Raises DomainUnusableError, NoRoomError.
        """
        await self._ask(
            "make_image",
            SLOW_SECONDS,
            path=path,
            attempt_id=attempt_id,
            turn=turn,
            format_name=format,
            capacity_bytes=capacity_bytes,
            preallocated=preallocated,
            options=list(options),
            mode=mode,
            owner=owner,
        )

    async def put_file(
        self,
        path: str,
        data: bytes,
        attempt_id: UUID,
        turn: int,
        *,
        mode: int = 0o644,
        owner: tuple[int, int] | None = None,
    ) -> None:
        """Write a file, atomically, into a directory that carries the attempt's marker."""
        encoded = base64.b64encode(data).decode()
        await self._ask(
            "put_file", path=path, data=encoded, attempt_id=attempt_id, turn=turn, mode=mode, owner=owner
        )

    async def set_owner(
        self, path: str, attempt_id: UUID, turn: int, *, mode: int, owner: tuple[int, int] | None
    ) -> None:
        """Set a file's mode and owner in a directory that carries the attempt's marker."""
        await self._ask("set_owner", path=path, attempt_id=attempt_id, turn=turn, mode=mode, owner=owner)

    async def clear_marker(self, path: str, attempt_id: UUID, turn: int) -> None:
        """Take the marker away: the directory belongs to the VM now, and `remove_tree` refuses it."""
        await self._ask("clear_marker", path=path, attempt_id=attempt_id, turn=turn)

    async def mark(self, path: str, attempt_id: UUID, turn: int) -> None:
        """Put the attempt's marker (back) into a directory that carries none; one that is gone is fine.

        Raises DomainUnusableError when it carries another attempt's.
        """
        await self._ask("mark", path=path, **self._mark(attempt_id, turn))

    async def remove_tree(self, path: str, attempt_id: UUID, turn: int) -> None:
        """Remove a directory that carries the attempt's marker; one that is gone is fine.

        Raises DomainUnusableError when it is there and carries another marker or none.
        """
        await self._ask("remove_tree", SLOW_SECONDS, path=path, attempt_id=attempt_id, turn=turn)


def _is_gone(result: CommandResult, path: str) -> bool:
    """Whether Python didn't find the program: the host was reinstalled, or its work directory emptied."""
    return result.exit_status == _CANT_OPEN and path.encode() in result.stderr
