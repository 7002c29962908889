"""Bundles all that an expert needs about an import into one archive; no secret is in what it is made of."""

import asyncio
import json
import platform
import tempfile
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import IO, Any, Final
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

from app.actions.read_log import read_log
from app.db import Database, Session
from app.models.attempts import Attempt
from app.models.imports import VmImport
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.models.vms import Vm
from app.services import attempts, imports, log_chunks, timeline

CHUNK_BYTES: Final = 256 * 1024
IN_MEMORY_BYTES: Final = 4 * 2**20
MOST_ENTRIES: Final = 10_000
HOST_FIELDS: Final = {
    "id",
    "name",
    "work_dir",
    "virt_v2v_path",
    "source_roots",
    "environment",
    "sudo",
    "status",
}
DOMAIN_FIELDS: Final = {"id", "name", "kind", "settings", "status"}


async def bundle_import(database: Database, import_id: UUID) -> IO[bytes]:
    """A zip file, to be read from its beginning; whoever takes it closes it. Raises NotFoundError."""
    async with database.reading() as session:
        row = await imports.get(session, import_id)
        texts = await _texts(session, row)
        tried = (await attempts.of_imports(session, [row.id]))[row.id]
    file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115  # the caller closes it
    try:
        with ZipFile(file, "w", ZIP_DEFLATED) as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
            for attempt in tried:
                await _add_log(database, archive, attempt)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


async def chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    """The file's bytes; closes it."""
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


async def _texts(session: Session, row: VmImport) -> dict[str, str]:
    shown = await imports.public(session, row)
    happened = await timeline.page(session, row.id, after=None, limit=MOST_ENTRIES)
    texts = {
        "import.json": shown.model_dump_json(indent=2),
        "spec.json": shown.spec.model_dump_json(indent=2) if shown.spec else "null",
        "timeline.json": _dump([timeline.public(entry).model_dump(mode="json") for entry in happened]),
        "versions.json": _dump(_versions(session)),
    }
    for name, record in (
        ("proxy-host.json", await _record(session, ProxyHost, row.proxy_host_id, HOST_FIELDS)),
        ("storage-domain.json", await _record(session, StorageDomain, row.storage_domain_id, DOMAIN_FIELDS)),
    ):
        if record is not None:
            texts[name] = _dump(record)
    vm = await session.get(Vm, row.vm_id) if row.vm_id is not None else None
    if vm is not None and vm.metadata_text is not None:
        texts["vm-metadata.xml"] = vm.metadata_text
    return texts


async def _record(
    session: Session, table: type[ProxyHost | StorageDomain], id_: UUID | None, fields: set[str]
) -> dict[str, Any] | None:
    """The row's open fields; a record that was deleted since is left out."""
    row = await session.get(table, id_) if id_ is not None else None
    return row.model_dump(mode="json", include=fields) if row is not None else None


def _versions(session: Session) -> dict[str, str]:
    return {
        "v2v-import-service": version("v2v-import-service"),
        "python": platform.python_version(),
        "database": session.get_bind().dialect.name,
    }


async def _add_log(database: Database, archive: ZipFile, attempt: Attempt) -> None:
    async with database.reading() as session:
        kept = await log_chunks.kept(session, attempt.id)
    with archive.open(f"attempt-{attempt.number}.log", "w") as entry:
        async for data in read_log(database, kept, 0, kept.size_bytes):
            await asyncio.to_thread(entry.write, data)


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
