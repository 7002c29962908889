"""The API behind a real server, with one proxy host that has a real sshd, and clients that upload to it."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col

from app.actions.create_upload import UploadTools
from app.actions.remove_uploads import clear_uploads
from app.models.columns import now
from app.models.uploads import Upload
from app.settings import Settings
from tests.support.api import problem_of
from tests.support.rows import data_center, proxy_host, storage_domain
from tests.support.running_api import RunningApi, run_api
from tests.support.sshd import SshServer
from tests.support.uploads import UPLOADS, TusClient

MIB = 2**20
MOST = 64 * MIB


class UploadSite:
    """The API with one proxy host, and clients of it."""

    def __init__(self, api: RunningApi, work_dir: Path) -> None:
        self.api, self.work_dir = api, work_dir
        self.tus = TusClient(api.stack_client("operator"))
        self.center_id = self.host_id = self.domain_id = ""

    async def build(self, sshd: SshServer) -> None:
        address = sshd.address(self.work_dir)
        async with self.api.database.session() as session:
            center = await data_center(session)
            host = await proxy_host(
                session,
                center.id,
                address=address.address,
                port=address.port,
                username=address.username,
                host_key=address.host_key,
                work_dir=str(self.work_dir),
            )
            host.sealed_secrets = self.api.state.sealer.seal(
                {"private_key": sshd.client_key}, f"proxy_hosts:{host.id}"
            )
            domain = await storage_domain(session, center.id)
            self.center_id, self.host_id, self.domain_id = str(center.id), str(host.id), str(domain.id)

    async def create(self, length: int, name: str = "web.img") -> str:
        return await self.tus.create(length, filename=name, proxy_host_id=self.host_id)

    async def whole(self, data: bytes, name: str = "web.img") -> str:
        """The path of a complete upload."""
        path = await self.create(len(data), name)
        assert (await self.tus.send(path, 0, data)).status_code == 204
        return path

    async def refused(self, headers: dict[str, str], content: bytes = b"") -> tuple[int, str]:
        return problem_of(await self.tus.http.post(UPLOADS, headers=headers, content=content))

    async def import_of(self, *paths: str, **more: object) -> httpx.Response:
        ids = [path.rsplit("/", 1)[1] for path in paths]
        body = {"source": {"kind": "upload", "upload_ids": ids}, "storage_domain_id": self.domain_id, **more}
        return await self.tus.http.post("/v1/imports", json=body)

    def bytes_of(self, path: str) -> bytes:
        """The file on the host."""
        return (self.work_dir / "uploads" / path.rsplit("/", 1)[1] / "data").read_bytes()

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.work_dir / "uploads").iterdir())

    async def sweep(self) -> None:
        state = self.api.state
        await clear_uploads(UploadTools(state.database, state.sealer, state.proxies, state.settings))

    async def let_expire(self, path: str) -> None:
        """Its time is over."""
        async with self.api.database.session() as session:
            statement = update(Upload).where(col(Upload.id) == UUID(path.rsplit("/", 1)[1]))
            await session.execute(statement.values(expires_at=now()))


@pytest.fixture
async def upload_site(api_settings: Settings, sshd: SshServer) -> AsyncIterator[UploadSite]:
    settings = api_settings.model_copy(update={"upload_limit_bytes": MOST, "progress_save_seconds": 0.05})
    with tempfile.TemporaryDirectory(prefix="v2v-", dir="/tmp") as name:
        async with run_api(settings) as api:
            made = UploadSite(api, Path(name))
            await made.build(sshd)
            yield made
