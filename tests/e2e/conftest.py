"""One running service for the end-to-end tests with the stand-in, on each database."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.database import PostgresServer
from tests.support.service import Place, running_place

QUICK = {
    "V2V_IMPORT_LOG_LEVEL": "info",
    "V2V_IMPORT_STOP_GRACE_SECONDS": "3",
    "V2V_IMPORT_HOST_RETRY_SECONDS": "1",
    "V2V_IMPORT_AUTOMATIC_RETRY_SECONDS": "0.5",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Its path is short: sockets lie in the host's work directory."""
    environment = dict(QUICK)
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        environment["V2V_IMPORT_DATABASE_URL"] = server.create(f"e2e_{request.node.name[:20]}".lower())
    with (
        tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp") as directory,
        running_place(Path(directory), environment=environment) as found,
    ):
        yield found


@pytest.fixture(autouse=True)
def _plain_stand_in(request: pytest.FixtureRequest) -> None:
    """Each test begins with a stand-in that simply succeeds."""
    if "place" in request.fixturenames:
        request.getfixturevalue("place").control()
