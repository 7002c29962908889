"""VMs of vCenter and ESXi: virt-v2v asks libvirt for them, and reads their disks over HTTPS or with VDDK; or
it reads both from an ESXi host's datastores by SSH.
"""

import re
from collections.abc import Collection
from typing import ClassVar, Final
from urllib.parse import quote

from app.errors import InvalidSourceError, ProviderRefusedError, TlsPinUnsupportedError
from app.models.common import Shape
from app.models.imports import ImportProperties
from app.models.vm import VmConfig
from app.providers.base import ProviderAccess, SourceProvider
from app.providers.urls import ProviderUrl
from app.providers.vmware import Transport, VmwareOptions
from app.sources.base import Reached, Site, SourceReading
from app.sources.properties import left_out
from app.sources.provider_vms.remote_disks import login_of, secret_file
from app.v2v.command import V2vFile, V2vInput

PASSWORD_FILE: Final = "source-password"  # noqa: S105  # its name
TRUSTED_FILE: Final = "source-trusted.pem"
HTTPS_PORT: Final = 443
ABILITIES: Final = {
    Transport.HTTPS: frozenset({"input:libvirt", "option:vcenter-https"}),
    Transport.VDDK: frozenset({"input:libvirt", "option:vddk"}),
    Transport.SSH: frozenset({"input:vmx"}),
}
READ_BY_SSH: Final = frozenset({"scsi", "ide"})
_DATASTORE_PATH: Final = re.compile(r"\[(?P<store>[^/\]\n]+)\] (?P<path>[^/\n][^\n]*)")


class VmwareVms:
    kind: ClassVar[str] = "vmware"

    def abilities(self, url: ProviderUrl, options: Shape) -> frozenset[str]:
        return ABILITIES[_transport(options)]

    def unsupported(
        self, url: ProviderUrl, options: Shape, properties: ImportProperties
    ) -> list[tuple[str, str]]:
        faults = left_out(properties, "virt-v2v takes all disks of a VM of vSphere.")
        if properties.conversion.is_copy:
            faults.append(("/conversion/mode", "VMs of vSphere can be converted, but not copied."))
        return faults

    async def read(
        self, vm_id: str, site: Site, provider: SourceProvider, *, without: Collection[str]
    ) -> SourceReading:
        config = await provider.vm(vm_id)
        if config.unreadable is None:
            _check(config, _transport(provider.access.options))
        return SourceReading(config=config, work_bytes=0)

    def input(
        self, vm_id: str, config: VmConfig, properties: ImportProperties, attempt_dir: str, reached: Reached
    ) -> V2vInput:
        access = reached.access
        if _transport(access.options) is Transport.SSH:
            return _by_ssh(access, config, attempt_dir)
        trusted = _trusted(access, config)
        password = access.password.get_secret_value() if access.password else ""
        files = [V2vFile(PASSWORD_FILE, password.encode(), secret=True)]
        if trusted is not None:
            files.append(V2vFile(TRUSTED_FILE, trusted.encode()))
        return V2vInput(
            argv=(
                *("-i", "libvirt", "-ic", _url(access, config)),
                *("-ip", f"{attempt_dir}/{PASSWORD_FILE}"),
                *_vddk(access, config),
                _guest(config),
            ),
            files=tuple(files),
            preparation={"trust": TRUSTED_FILE} if trusted is not None else None,
            disks=config.disks,
        )


def _transport(options: Shape) -> Transport:
    return options.used_transport if isinstance(options, VmwareOptions) else Transport.HTTPS


def _check(config: VmConfig, transport: Transport) -> None:
    """Raises InvalidSourceError where virt-v2v can't be told which VM is meant, ProviderRefusedError."""
    if transport is Transport.SSH:
        _check_for_ssh(config)
        return
    if config.origin.get("api") != "esxi" and not config.origin.get("path"):
        raise InvalidSourceError("The provider's user may not see the VM's host, or one of its folders.")
    _guest(config)


def _check_for_ssh(config: VmConfig) -> None:
    """What virt-v2v can't read so (virt-v2v-input-vmware(1)), or passes over without a word."""
    if config.origin.get("api") != "esxi":
        raise ProviderRefusedError(
            "A vCenter's hosts have SSH host keys of their own: make a provider of the VM's ESXi host."
        )
    if config.has_snapshots:
        raise InvalidSourceError("The VM has snapshots: by SSH its disks can't be read with them.")
    other = [disk.label for disk in config.disks if disk.bus not in READ_BY_SSH]
    if other:
        raise InvalidSourceError(
            f"By SSH only SCSI and IDE disks are read, not {', '.join(other)}: use another transport."
        )
    _file(config)


def _by_ssh(access: ProviderAccess, config: VmConfig, attempt_dir: str) -> V2vInput:
    login, secret = login_of(access)
    file = secret_file(secret, login)
    host = f"[{login.host}]" if ":" in login.host else login.host
    place = f"{quote(login.username, safe='')}@{host}:{login.port}"
    password = ("-ip", f"{attempt_dir}/{file.name}") if login.by_password else ()
    return V2vInput(
        argv=("-i", "vmx", "-it", "ssh", *password, f"ssh://{place}{quote(_file(config))}"),
        files=(file,),
        preparation={"ssh": login.order(), "secret": file.name},
        disks=config.disks,
    )


def _file(config: VmConfig) -> str:
    """The VMX file on its ESXi host: of `[datastore1] web/web.vmx`, which vSphere calls it. Raises
    InvalidSourceError.
    """
    found = _DATASTORE_PATH.fullmatch(config.origin.get("vmx", ""))
    if found is None or ".." in found["path"].split("/"):
        raise InvalidSourceError("The server doesn't say where the VM's file lies.")
    return f"/vmfs/volumes/{found['store']}/{found['path']}"


def _guest(config: VmConfig) -> str:
    """Its UUID where no other VM has it: names are seldom, but may be, like an option or like a UUID."""
    uuid = config.origin.get("uuid")
    if uuid is None and config.name.startswith("-"):
        raise InvalidSourceError(
            "Another VM has this one's UUID, and its name would be an option of virt-v2v."
        )
    return uuid or config.name


def _url(access: ProviderAccess, config: VmConfig) -> str:
    """libvirt's, with each name of the path encoded by itself: names may have any character."""
    url = access.url
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host
    port = f":{url.effective_port}" if url.effective_port != HTTPS_PORT else ""
    place = f"{quote(access.username or '', safe='')}@{host}{port}"
    query = "" if _verifies(access) else "?no_verify=1"
    if config.origin.get("api") == "esxi":
        return f"esx://{place}/{query}"
    path = "/".join(quote(name, safe="") for name in config.origin.get("path", "").split("\n"))
    return f"vpx://{place}/{path}{query}"


def _verifies(access: ProviderAccess) -> bool:
    return access.tls.verify or access.tls.thumbprint is not None


def _trusted(access: ProviderAccess, config: VmConfig) -> str | None:
    """The certificates that the job is to trust; None: those that the proxy host trusts, or any.

    A pin is kept by trusting the pinned certificate alone, which was compared when the VM was read.
    """
    if access.tls.thumbprint is None:
        return access.tls.ca_pem if access.tls.verify else None
    if not config.origin.get("vouches_for_itself"):
        raise TlsPinUnsupportedError(
            "The pinned certificate is for another name than that in the provider's URL; libvirt checks it."
        )
    return config.origin["certificate_pem"]


def _vddk(access: ProviderAccess, config: VmConfig) -> tuple[str, ...]:
    """VDDK knows a server by the SHA-1 of its certificate, which was compared when the VM was read."""
    options = access.options
    if not isinstance(options, VmwareOptions) or options.used_transport is not Transport.VDDK:
        return ()
    libdir, seen = options.vddk_libdir, config.origin["thumbprint_sha1"]
    return ("-it", "vddk", "-io", f"vddk-libdir={libdir}", "-io", f"vddk-thumbprint={seen}")
