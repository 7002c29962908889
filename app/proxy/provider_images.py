"""The verb of disks on another host: what the service asks a proxy host about images at a VM's host."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, SecretStr

from app.models.vm import ImageFile
from app.proxy.answers import read_as

LOOK_SECONDS: Final = 300.0
"""For all images of a VM, and what they stand on."""


@dataclass(frozen=True)
class RemoteLogin:
    """How the proxy host logs in to the VM's host; the secret, a private key or a password, comes apart."""

    host: str
    port: int
    username: str
    host_key: str
    by_password: bool

    def order(self) -> dict[str, Any]:
        """As the agent takes it."""
        return asdict(self)


class RemoteImage(BaseModel):
    """A disk image as `qemu-img info` reads it at the VM's host."""

    model_config = ConfigDict(frozen=True)

    path: str
    format: str
    virtual_bytes: int
    actual_bytes: int
    chain: tuple[ImageFile, ...]
    """The images that it stands on, the nearest first."""
    chain_bytes: int
    is_encrypted: bool


class _Images(BaseModel):
    images: tuple[RemoteImage, ...]


class ProviderImagesAgent(ABC):
    """The part of a HostAgent that has to do with disks at the host of a VM."""

    @abstractmethod
    async def _ask(self, verb: str, timeout_seconds: float = ..., **request: Any) -> Any: ...

    async def provider_images(
        self, login: RemoteLogin, secret: SecretStr, disks: Sequence[ImageFile]
    ) -> tuple[RemoteImage, ...]:
        """These images as they are there, in the same order.

        Raises SourceNotFoundError, UnsafeImageError for one that refers to anything outside its own
        directory, InvalidSourceError for one that can't be read or brought, ProviderError.
        """
        answer = await self._ask(
            "provider_images",
            LOOK_SECONDS,
            login=login.order(),
            secret=secret.get_secret_value(),
            disks=[disk.model_dump() for disk in disks],
        )
        return read_as(_Images, {"images": answer}).images
