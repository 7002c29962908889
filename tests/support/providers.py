"""The API with providers whose programs are stand-ins, and whose VMs are described by a file."""

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.actions.ask_child import Children
from app.actions.read_inventory import Inventories
from tests.support.api import Api
from tests.support.programs import PROGRAMS

PROVIDERS = "/v1/providers"


class Providing:
    """An API that allows local providers, and the file that one of them reads."""

    def __init__(self, api: Api, file: Path) -> None:
        self.api, self.file = api, file
        self.has(vms=[{"id": "vm-1", "name": "web", "state": "down"}])

    def has(self, **place: Any) -> None:
        """What the provider is from now on."""
        self.file.write_text(json.dumps(place))

    async def provider(self, **members: Any) -> dict[str, Any]:
        given = {"name": "kvm-1", "kind": "kvm", "url": f"test://{self.file}", **members}
        return await self.api.made(PROVIDERS, **given)


@pytest.fixture
async def providing(api: Api, tmp_path: Path) -> AsyncIterator[Providing]:
    state = api.state
    settings = state.settings.model_copy(update={"allow_local_providers": True})
    children = Children(package=PROGRAMS)
    asking = dataclasses.replace(state.providers, children=children, settings=settings)
    inventories = Inventories(asking)
    api.state = dataclasses.replace(state, settings=settings, providers=asking, inventories=inventories)
    api.app.state.service = api.state
    yield Providing(api, tmp_path / "vms.json")
    await inventories.close()
    api.app.state.service = state
