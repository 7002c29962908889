"""The verbs of oVirt storage: what the service asks of a proxy host about a domain's volumes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from app.proxy.answers import read_as

LOOK_SECONDS: Final = 120.0
"""For all images of a domain."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Volume(_Answer):
    """A volume of an oVirt storage domain: its file and the size of that, and the metadata beside it."""

    path: str
    meta: str
    size_bytes: int


class _Volumes(_Answer):
    volumes: tuple[Volume, ...]


class _Paths(_Answer):
    paths: tuple[str, ...]


class OvirtAgent(ABC):
    """The part of a HostAgent that has to do with oVirt storage."""

    @abstractmethod
    async def _ask(self, verb: str, timeout_seconds: float = ..., **request: Any) -> Any: ...

    async def volume_chain(
        self, images: str, image_id: str, volume_id: str, *, roots: Sequence[str]
    ) -> tuple[Volume, ...]:
        """A volume in the `images` of a domain and those below it, by what their metadata says.

        Raises as `look`; DiskMissingError; InvalidSourceError (a circle); UnsafeImageError (a link).
        """
        answer = await self._ask(
            "volume_chain", images=images, image_id=image_id, volume_id=volume_id, roots=list(roots)
        )
        return read_as(_Volumes, answer).volumes

    async def ovf_stores(self, images: str, *, roots: Sequence[str]) -> tuple[str, ...]:
        """The volumes that hold the OVFs of a data domain, the newest first. Raises as `look`."""
        answer = await self._ask("ovf_stores", LOOK_SECONDS, images=images, roots=list(roots))
        return read_as(_Paths, answer).paths
