"""One row that can't be read stops nobody: lists, streams, admission and the sweep go on without it."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
import structlog
from httpx import codes
from sqlalchemy import select

from app.actions.show_imports import snapshot
from app.errors import ProviderUnreachableError
from app.jobs.context import Context
from app.jobs.runner import Runner
from app.jobs.sweep import Sweep
from app.models.columns import now
from app.models.data_centers import Network
from app.models.idempotency import IdempotencyRecord
from app.models.providers import Provider, SshIdentity, TlsChecks
from app.models.scans import Scan, ScanState
from app.models.source_vms import ListedVm
from app.models.state import ImportState, StepName
from app.models.storage_domains import StorageDomain
from app.models.tokens import ApiToken
from app.models.uploads import Upload
from app.models.vm import VmConfig
from app.services import admission, attempts, inventories, log_chunks, tickets, timeline, workers
from app.services.imports import ImportFilter
from app.services.source_vms import summed_up
from tests.support.api import CLOSED_PORT, Api
from tests.support.damage import Damage, garbage, guarded_columns
from tests.support.records import add_attempt, add_import, add_vm
from tests.support.rows import GIB, data_center, proxy_host, storage_domain, up


class Place:
    """A row in every table that is damaged, and beside it what others use."""

    def __init__(self, api: Api) -> None:
        self.api, self.database = api, api.database
        self.good_domain: UUID | None = None
        self.import_id: UUID | None = None
        self.paths: list[str] = []

    async def build(self) -> "Place":
        async with self.database.session() as session:
            center = await data_center(session)
            center.networks = (Network(name="red"),)
            roomy = {"status": up(free_bytes=10_000 * GIB), "max_concurrent_imports": 900}
            reached = {"address": "127.0.0.1", "port": CLOSED_PORT, **roomy}
            host = await proxy_host(session, center.id, **reached)
            await proxy_host(session, center.id, name="proxy-2", **reached)
            domain = await storage_domain(session, center.id)
            self.good_domain = (await storage_domain(session, center.id, name="store-2")).id
            row = await add_import(
                session,
                domain,
                state=ImportState.RUNNING,
                step=StepName.CONVERT_DISKS,
                proxy_host_id=host.id,
                labels={"team": "red"},
            )
            self.import_id = row.id
            attempt = await add_attempt(session, row, proxy_host_id=host.id, storage_domain_id=domain.id)
            await attempts.record(session, attempt, "target", {"directories": []})
            await log_chunks.append(session, attempt.id, 0, b"a line\n")
            timeline.note(session, row, "admitted")
            vm = await add_vm(session, domain, row=row, proxy_host_id=host.id)
            token = (await session.execute(select(ApiToken))).scalars().first()
            await tickets.create(session, token.id, "/v1/events", lifetime_seconds=60)
            provider = Provider(
                name="vcenter",
                kind="vmware",
                url="https://127.0.0.1:9",
                ssh=SshIdentity(username="root"),
                tls=TlsChecks(verify=False),
                options={},
                fetched_at=now(),
                vm_count=1,
                inventory_problem=ProviderUnreachableError().to_problem(),
            )
            session.add(provider)
            await session.flush()
            summary = summed_up(ListedVm(config=VmConfig(id="vm-1", name="web")))
            await inventories.replace(session, provider, [summary])
            session.add(IdempotencyRecord(token_id=token.id, method="POST", path="/", key="a", body_hash="b"))
            expires_at = now() + timedelta(days=1)
            upload = {"metadata_text": "", "length_bytes": 1, "created_by": "test", "expires_at": expires_at}
            session.add(Upload(file_name="web.ova", proxy_host_id=host.id, **upload))
            scan = Scan(proxy_host_id=host.id, state=ScanState.SUCCEEDED, created_by="a", finished_at=now())
            session.add(scan)
            self.paths = [
                *(f"/v1/imports/{row.id}{part}" for part in ("", "/timeline", "/log", "/bundle")),
                *("/v1/imports", "/v1/imports?label=team:red&state=running", "/v1/tokens", "/metrics"),
                *("/v1/scans", f"/v1/scans/{scan.id}"),
                *("/v1/data-centers", f"/v1/data-centers/{center.id}", "/v1/vms", f"/v1/vms/{vm.id}"),
                *("/v1/proxy-hosts", f"/v1/proxy-hosts/{host.id}", "/v1/disks", "/v1/uploads"),
                *("/v1/providers", f"/v1/providers/{provider.id}", f"/v1/providers/{provider.id}/vms"),
                *("/v1/storage-domains", f"/v1/storage-domains/{domain.id}"),
            ]
        return self

    async def check_answers(self, what: str) -> None:
        """Nothing that is read fails, and each thing is listed."""
        for path in self.paths:
            answer = await self.api.admin.get(path)
            assert answer.status_code == codes.OK, (what, path, answer.text)
        listed = (await self.api.admin.get("/v1/imports")).json()["items"]
        assert [shown["id"] for shown in listed] == [str(self.import_id)], what
        [page] = [page async for page in snapshot(self.database, self.api.state.events, ImportFilter())]
        assert [shown.import_id for shown in page] == [self.import_id], what

    async def check_admission(self, what: str) -> None:
        """The next import begins; it is then forgotten."""
        async with self.database.session() as session, session.begin_nested() as all_of_it:
            domain = await session.get_one(StorageDomain, self.good_domain)
            row = await add_import(session, domain)
            admitted, _ = await admission.admit(session, await admission.line_up(session))
            assert row.id in admitted, what
            await all_of_it.rollback()

    async def check_sweep(self, context: Context, what: str) -> None:
        """No part of the sweep fails."""
        with structlog.testing.capture_logs() as told:
            async with asyncio.TaskGroup() as group:
                await Sweep(context, Runner(context)).once(group)
        failed = [line for line in told if line["event"].endswith("failed")]
        assert failed == [], what


async def _context(api: Api) -> Context:
    async with api.database.session() as session:
        worker_id = (await workers.register(session)).id
    return Context(
        settings=api.state.settings.model_copy(update={"host_check_seconds": 1e6}),
        database=api.database,
        sealer=api.state.sealer,
        queue=api.state.queue,
        events=api.state.events,
        proxies=api.state.proxies,
        worker_id=worker_id,
    )


@pytest.mark.timeout(300)
async def test_whatever_can_t_be_read_of_a_row_the_others_go_on(api: Api) -> None:
    place, context = await Place(api).build(), await _context(api)
    is_sqlite = api.database.url.startswith("sqlite")
    await place.check_answers("nothing is damaged")
    for column in guarded_columns():
        for value in garbage(column, is_sqlite=is_sqlite):
            what, damage = f"{column} is {value}", Damage(api.database, column)
            await damage.do(value)
            await place.check_answers(what)
            await place.check_admission(what)
            await place.check_sweep(context, what)
            await damage.undo()
