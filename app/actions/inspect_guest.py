"""Looks into a guest on a proxy host, by a job of its own: for deep scans."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from app.errors import (
    GuestUnreadableError,
    HostCommandError,
    InvalidSourceError,
    MalformedXmlError,
    VirtV2vMissingError,
)
from app.formats.inspection import read_inspection
from app.models.imports import ImportProperties
from app.models.proxy_hosts import ProxyHost
from app.models.vm import Guest, SourceDisk
from app.proxy.agent_client import AttemptPlace, HostAgent, JobState, JobStatus
from app.proxy.mounts import Mount
from app.sources import source_of
from app.sources.base import Reached, Site
from app.sources.scans.base import Found
from app.v2v.command import V2vFile, V2vInput

ORDER, RESULT, INSPECTED = "inspect.json", "guest.json", "inspected.xml"
ERROR: Final = re.compile(r"virt-v2v(?:-inspector)?: error: (.*)")
"""The inspector's, or that of what was made ready for it."""
LONGEST_RESULT: Final = 2**20
POLL_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 3.0
CLEAR_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Inspector:
    """Looks into guests, one after the other, in a directory of the scan's own on the host."""

    site: Site
    host: ProxyHost
    scan_id: UUID
    turn: int
    mounts: tuple[Mount, ...] = ()

    @property
    def agent(self) -> HostAgent:
        return self.site.agent

    async def guest_of(self, found: Found) -> Guest:
        """Raises GuestUnreadableError, and what keeps the host from being asked."""
        async with self._place() as place:
            given = _given(found, place.directory, self.site)
            look = self._by_guestfish if _can_be_opened(given.disks) else self._by_virt_v2v
            guest = await look(place, given, found)
        version = self.host.status.virt_v2v.version if self.host.status.virt_v2v else None
        return guest.model_copy(update={"virt_v2v_version": version})

    async def clear(self) -> None:
        """End and remove what an earlier turn may have left."""
        status = await self.agent.stop(self.scan_id, self.turn, grace_seconds=GRACE_SECONDS)
        if status.state is JobState.RUNNING:
            raise HostCommandError("Something of the inspection survived SIGKILL on the proxy host.")
        await self.agent.remove_attempt(self.scan_id, self.turn)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[AttemptPlace]:
        """The directory, for one guest. What runs is ended and removed also when the scan is stopped."""
        await self.clear()
        try:
            yield await self.agent.create_attempt(self.scan_id, self.turn)
        finally:
            clearing = asyncio.ensure_future(self.clear())
            await asyncio.wait_for(asyncio.shield(clearing), CLEAR_SECONDS)

    async def _by_guestfish(self, place: AttemptPlace, given: V2vInput, found: Found) -> Guest:
        roots = list((found.reading and found.reading.roots) or self.site.roots)
        order = {
            "roots": roots,
            "disks": [{"path": disk.path, "format": disk.format} for disk in given.disks],
            "checked": [_images(disk) for disk in given.disks if _lies_at_source(disk.path, place)],
        }
        await self.agent.write(self.scan_id, self.turn, ORDER, json.dumps(order).encode())
        argv = self.agent.own("inspect", f"{place.directory}/{ORDER}")
        secret_files = [file for file in given.files if file.secret]
        status = await self._run(argv, secret_files, _preparation(given, roots))
        if not _is_done(status):
            raise GuestUnreadableError("The look into the guest ended without an answer.")
        answer = json.loads(await self._read(f"{place.directory}/{RESULT}"))
        if "error" in answer:
            raise GuestUnreadableError(str(answer["error"]))
        try:
            return Guest.model_validate(answer)
        except ValidationError as error:
            raise GuestUnreadableError("What was found in the guest can't be read.") from error

    async def _by_virt_v2v(self, place: AttemptPlace, given: V2vInput, _: Found) -> Guest:
        """Disks to which only virt-v2v knows the way: its inspector converts them, and keeps nothing."""
        path = f"{place.directory}/{INSPECTED}"
        argv = [f"{self.host.virt_v2v_path}-inspector", "--root", "first", *given.argv, "-O", path]
        try:
            status = await self._run(argv, given.files, given.preparation, given.environment)
        except VirtV2vMissingError as error:
            raise GuestUnreadableError(
                "Only virt-v2v-inspector (virt-v2v 2.2) can look into it, and the proxy host has none."
            ) from error
        if not _is_done(status):
            raise GuestUnreadableError(await self._last_words(place))
        try:
            return read_inspection(await self._read(path))
        except MalformedXmlError as error:
            raise GuestUnreadableError("What was found in the guest can't be read.") from error

    async def _run(
        self,
        argv: Sequence[str],
        files: Sequence[V2vFile],
        preparation: Mapping[str, Any] | None,
        environment: Mapping[str, str] | None = None,
    ) -> JobStatus:
        """How it ended."""
        for file in files:
            await self.agent.write(self.scan_id, self.turn, file.name, file.data, mode=file.mode)
        status = await self.agent.launch(
            self.scan_id,
            self.turn,
            argv,
            environment={"LIBGUESTFS_BACKEND": "direct", **(environment or {}), **self.host.environment},
            secret_files=[file.name for file in files if file.secret],
            preparation=preparation,
            mounts=self.mounts,
        )
        while status.state is JobState.RUNNING:
            await asyncio.sleep(POLL_SECONDS)
            status = await self.agent.status(self.scan_id)
        return status

    async def _read(self, path: str) -> bytes:
        return await self.agent.read_result(path, limit_bytes=LONGEST_RESULT)

    async def _last_words(self, place: AttemptPlace) -> str:
        """What virt-v2v-inspector said last."""
        try:
            log = (await self._read(f"{place.directory}/job/log")).decode(errors="replace")
        except InvalidSourceError:
            log = ""
        errors = ERROR.findall(log)
        return errors[-1] if errors else "virt-v2v-inspector ended without an answer."


def _is_done(status: JobStatus) -> bool:
    return status.state is JobState.EXITED and status.exit_code == 0


def _given(found: Found, directory: str, site: Site) -> V2vInput:
    """The disks as the job finds them. Raises GuestUnreadableError, and as `Source.input`."""
    reading = found.reading
    if reading is None or found.source is None:
        raise GuestUnreadableError("The VM itself can't be read.")
    if reading.work_bytes and site.provider is None:
        raise GuestUnreadableError("Its disks are compressed; unpack them to look into the guest.")
    spec: Any = reading.source or found.source
    reached = Reached(site.provider.access, site.virt_v2v) if site.provider else None
    given = source_of(spec.kind).input(spec, reading.config, ImportProperties(), directory, reached)
    if not given.disks:
        raise GuestUnreadableError("It has no disks that could be looked into.")
    return given


def _can_be_opened(disks: Sequence[SourceDisk]) -> bool:
    """Whether all of them are there for every program on the proxy host."""
    return all(disk.path and disk.path.startswith("/") and disk.format for disk in disks)


def _lies_at_source(path: str | None, place: AttemptPlace) -> bool:
    return path is not None and not path.startswith(f"{place.directory}/")


def _images(disk: SourceDisk) -> list[dict[str, str]]:
    return [
        {"path": disk.path or "", "format": disk.format or ""},
        *(file.model_dump() for file in disk.chain),
    ]


def _preparation(given: V2vInput, roots: Sequence[str]) -> Mapping[str, Any] | None:
    """What brings the disks of a provider's VM, or stands for those in a tar; their checksums are for the
    import to compare.
    """
    if given.preparation is None or "path" not in given.preparation:
        return given.preparation
    orders = [{**order, "checksum": None} for order in given.preparation["disks"] if order["image"]]
    return {**given.preparation, "disks": orders, "roots": list(roots)} if orders else None
