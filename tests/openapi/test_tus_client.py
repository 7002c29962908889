"""A stock tus client from npm against the real API, sshd and agent: it breaks off and resumes."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.openapi.test_node_tools import HERE, tools
from tests.support.upload_site import UploadSite, upload_site

__all__ = ["tools", "upload_site"]

SIZE = 1_000_003


@pytest.fixture
def data() -> bytes:
    return bytes(number % 251 for number in range(SIZE))


@pytest.fixture
def file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "wéb 1.img"
    path.write_bytes(data)
    return path


async def test_tus_js_client_breaks_off_and_goes_on(upload_site: UploadSite, file: Path, data: bytes) -> None:
    command = ["node", HERE / "upload.mjs", f"{upload_site.api.url}/v1/uploads", "operator", file]
    done = await asyncio.to_thread(
        subprocess.run,
        [*map(str, command), upload_site.host_id, str(SIZE // 3)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = await upload_site.tus.shown(done.stdout.strip())
    assert (shown["state"], shown["file_name"]) == ("complete", "wéb 1.img")
    assert upload_site.bytes_of(done.stdout.strip()) == data
