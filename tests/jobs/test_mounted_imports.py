"""Imports from an export: mounted for reading, for the job, and gone with it, however the import ends."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from app.db import Database
from app.jobs.advance_import import advance_import
from app.jobs.context import Context
from tests.support.engine import MIB, Engine, engine_on
from tests.support.exports import Exports, mounted_below, sees_mount
from tests.support.hosts import marked_pids
from tests.support.sshd import ssh_server
from tests.support.waiting import until

ROOT = "nfs://nas.example/vms"

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    made = Exports(tmp_path)
    with (made.export() / "web 1.img").open("wb") as image:
        image.truncate(4 * MIB)
    return made


@pytest.fixture
async def engine(database: Database, exports: Exports) -> AsyncIterator[Engine]:
    """Its proxy host may mount the export."""
    with ssh_server(path=exports.path) as sshd:
        async with engine_on(database, sshd) as made:
            await made.set_host(source_roots=(ROOT,))
            yield made


async def _begun(engine: Engine, context: Context) -> UUID:
    """An import whose virt-v2v runs, and holds still."""
    engine.virt_v2v.hold()
    import_id = await engine.queue(path=f"{ROOT}/web 1.img")
    await advance_import(context, import_id)
    await until(lambda: engine.virt_v2v.starts() == 1)
    return import_id


async def test_a_vm_on_an_export_is_imported_and_nothing_stays_mounted(
    engine: Engine, exports: Exports
) -> None:
    context = await engine.context()
    import_id = await engine.queue(path=f"{ROOT}/web 1.img")
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert (row.state, row.problem) == ("succeeded", None)
    assert row.spec["source"] == {"kind": "disk", "path": f"{ROOT}/web 1.img"}
    # Once to read the VM's configuration, once for the job.
    assert len(exports.asked()) == 2
    assert mounted_below(engine.work_dir) == []


@pytest.mark.parametrize("kills", [False, True])
async def test_a_cancel_or_a_kill_takes_the_mount_away(engine: Engine, kills: bool) -> None:
    context = await engine.context(automatic_retries=0)
    async with engine.watching(context):
        import_id = await _begun(engine, context)
        attempt_id = str((await engine.site.attempt(import_id)).id)
        pids = marked_pids({attempt_id})
        assert all(sees_mount(pid, engine.work_dir) for pid in pids)
        if kills:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        else:
            await engine.cancel(import_id)
        row = await engine.drive(context, import_id)
    assert row.state == ("failed" if kills else "cancelled")
    assert mounted_below(engine.work_dir) == []
    assert engine.left_on_the_host() == []


async def test_what_is_not_on_the_export_is_told_by_its_address(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue(path=f"{ROOT}/none.img")
    row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert row.problem.code == "source_not_found"
    assert f"'{ROOT}/none.img'" in row.problem.detail
