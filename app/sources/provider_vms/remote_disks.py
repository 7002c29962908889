"""Disks at a VM's own host, which the proxy host brings by SSH for as long as the job lives."""

from collections.abc import Collection, Sequence
from typing import Final

from pydantic import SecretStr

from app.errors import ProviderKeyUnverifiedError, ProviderRefusedError
from app.models.imports import ImportProperties
from app.models.vm import DiskFault, ImageFile, PowerState, SourceDisk, VmConfig
from app.providers import kind_of
from app.providers.base import ProviderAccess
from app.proxy.agent_client import HostAgent
from app.proxy.provider_images import RemoteImage, RemoteLogin
from app.sources.given import given_as_domain
from app.sources.images import check_number
from app.sources.properties import included
from app.v2v.command import V2vFile, V2vInput

SECRET_FILE: Final = "provider-secret"  # noqa: S105  # its name
USUAL_FORMAT: Final = "raw"
"""libvirt's, for a disk whose format the domain doesn't say."""
OVERLAY_FORMAT: Final = "qcow2"
OVERLAY_BYTES: Final = 2**20
"""More than an image takes that only stands on another."""


async def looked_at_there(
    agent: HostAgent, access: ProviderAccess, disks: Sequence[SourceDisk], *, without: Collection[str]
) -> tuple[SourceDisk, ...]:
    """The disks with real paths and sizes, and whether they are encrypted.

    Those in `without`, and those that are no file or block device, stay as they are described.

    Raises ProviderError, SourceNotFoundError, InvalidSourceError, UnsafeImageError, HostError.
    """
    check_number(disks)
    login, secret = login_of(access)
    wanted = [disk for disk in disks if disk.path and disk.fault is None and disk.id not in without]
    files = [ImageFile(path=disk.path or "", format=disk.format or USUAL_FORMAT) for disk in wanted]
    images = await agent.provider_images(login, secret, files) if files else ()
    found = {disk.id: _as_found(disk, image) for disk, image in zip(wanted, images, strict=True)}
    return tuple(found.get(disk.id, disk) for disk in disks)


def _as_found(disk: SourceDisk, image: RemoteImage) -> SourceDisk:
    return disk.model_copy(
        update={
            "path": image.path,
            "format": image.format,
            "capacity_bytes": image.virtual_bytes,
            "used_bytes": image.actual_bytes + image.chain_bytes,
            "chain": image.chain,
            "fault": DiskFault.ENCRYPTED if image.is_encrypted else None,
        }
    )


def login_of(access: ProviderAccess) -> tuple[RemoteLogin, SecretStr]:
    """Raises ProviderRefusedError where the record has no SSH login, ProviderKeyUnverifiedError."""
    ssh, host = access.ssh, access.url.host
    port = kind_of(access.kind).ssh_port(access.url, access.options)
    secret = ssh and (ssh.private_key or ssh.password)
    if ssh is None or host is None or port is None or not secret:
        raise ProviderRefusedError(
            f"The disks are read over SSH: give the provider {access.name!r} a login in `ssh`."
        )
    if ssh.host_key is None:
        raise ProviderKeyUnverifiedError(
            f"The SSH host key of provider {access.name!r} was not accepted yet."
        )
    by_password = ssh.private_key is None
    return RemoteLogin(host, port, ssh.username, ssh.host_key, by_password), secret


def given_from_there(
    config: VmConfig,
    properties: ImportProperties,
    attempt_dir: str,
    access: ProviderAccess,
    *,
    hypervisor: str,
) -> V2vInput:
    """virt-v2v's input half; `config` has the disks as they were looked at. Raises as `login_of`."""
    login, secret = login_of(access)
    names = {disk.id: f"disk-{number}" for number, disk in enumerate(config.disks, start=1)}
    here = tuple(_here(disk, f"{attempt_dir}/{names[disk.id]}") for disk in config.disks)
    moved = config.model_copy(update={"disks": here})
    given = given_as_domain(moved, properties, attempt_dir, hypervisor=hypervisor)
    order = {
        "login": login.order(),
        "secret": SECRET_FILE,
        "disks": [
            {"images": _images(disk), "image": names[disk.id]} for disk in included(config.disks, properties)
        ],
        "is_running": config.state is PowerState.UP,
    }
    return V2vInput(
        argv=given.argv,
        files=(*given.files, secret_file(secret, login)),
        preparation=order,
        disks=given.disks,
    )


def _here(disk: SourceDisk, path: str) -> SourceDisk:
    if disk.path is None:
        return disk
    return disk.model_copy(update={"path": path, "format": OVERLAY_FORMAT, "chain": ()})


def _images(disk: SourceDisk) -> list[dict[str, str]]:
    own = ImageFile(path=disk.path or "", format=disk.format or USUAL_FORMAT)
    return [image.model_dump() for image in (own, *disk.chain)]


def secret_file(secret: SecretStr, login: RemoteLogin) -> V2vFile:
    """A private key whose last line has no end is none to ssh."""
    text = secret.get_secret_value()
    data = text if login.by_password else f"{text.rstrip()}\n"
    return V2vFile(SECRET_FILE, data.encode(), secret=True)
