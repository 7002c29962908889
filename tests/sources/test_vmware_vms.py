"""How virt-v2v is told of a VM of vSphere: libvirt's URL, the password in a file, whom to trust."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr, ValidationError

from app.errors import AppError, InvalidSourceError, ProviderRefusedError, TlsPinUnsupportedError
from app.models.imports import ImportProperties
from app.models.providers import TlsChecks
from app.models.vm import SourceDisk, VmConfig
from app.providers import kind_of, parse_url
from app.providers.base import ProviderAccess, SourceProvider, SshAccess
from app.providers.vmware import Transport, VmwareOptions
from app.sources.base import Reached, Site
from app.sources.provider_vms.vmware import VmwareVms
from app.v2v.command import V2vInput

SOURCE = VmwareVms()
DIRECTORY = "/var/lib/v2v-import/attempts/1"
ORIGIN = {
    "api": "vcenter",
    "path": "DC0\nDC0_C0\nesxi-1.example",
    "uuid": "154bda0f-1673-52c8-882e-2e2e44ce2d8a",
    "certificate_pem": "-----PEM of the server-----",
    "thumbprint_sha1": "AA:BB",
    "vouches_for_itself": "true",
}


def access(
    url: str = "https://vcenter.example", *, vddk_libdir: str | None = None, **tls: Any
) -> ProviderAccess:
    return ProviderAccess(
        id=UUID(int=1),
        name="vcenter-1",
        kind="vmware",
        url=parse_url(kind_of("vmware"), url, allows_local=False),
        username="VSPHERE.LOCAL\\import user@x",
        password=SecretStr("s3cret & more"),
        ssh=None,
        tls=TlsChecks(**tls),
        options=VmwareOptions(vddk_libdir=vddk_libdir),
        proxy_host_id=None,
    )


def vm(**origin: str | None) -> VmConfig:
    told = {name: value for name, value in {**ORIGIN, **origin}.items() if value is not None}
    return VmConfig(id="vm-1", name="web", origin=told)


def given(config: VmConfig | None = None, reached: ProviderAccess | None = None) -> V2vInput:
    return SOURCE.input(
        "vm-1", config or vm(), ImportProperties(), DIRECTORY, Reached(reached or access(), None)
    )


def url_of(found: V2vInput) -> str:
    return found.argv[found.argv.index("-ic") + 1]


def test_virt_v2v_asks_libvirt_for_the_vm_by_its_uuid() -> None:
    assert given().argv == (
        *("-i", "libvirt"),
        "-ic",
        "vpx://VSPHERE.LOCAL%5Cimport%20user%40x@vcenter.example/DC0/DC0_C0/esxi-1.example",
        *("-ip", f"{DIRECTORY}/source-password"),
        ORIGIN["uuid"],
    )


def test_the_password_is_in_a_secret_file_alone() -> None:
    found = given()

    [file] = found.files
    assert (file.name, file.data, file.secret, file.mode) == (
        "source-password",
        b"s3cret & more",
        True,
        0o600,
    )
    assert "s3cret" not in str((found.argv, found.environment, found.preparation))


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("Fol der\nD/C\nc&1\nh#?", "Fol%20der/D%2FC/c%261/h%23%3F"),
        ("D%2fC\nh", "D%252fC/h"),
        ("Dätäcenter\n..\nh", "D%C3%A4t%C3%A4center/../h"),
    ],
)
def test_each_name_of_the_path_is_encoded_by_itself(path: str, encoded: str) -> None:
    assert url_of(given(vm(path=path))).endswith(f"@vcenter.example/{encoded}")


def test_an_esxi_host_has_no_path() -> None:
    found = given(vm(api="esxi", path=None), access("https://[2001:db8::1]:8443"))

    assert url_of(found).endswith("@[2001:db8::1]:8443/")
    assert url_of(found).startswith("esx://")


def test_a_vm_whose_uuid_others_have_is_named() -> None:
    assert given(vm(uuid=None)).argv[-1] == "web"


async def test_a_vm_that_can_only_be_named_like_an_option_is_refused(site: Site) -> None:
    config = vm(uuid=None).model_copy(update={"name": "--help"})

    with pytest.raises(InvalidSourceError, match="option"):
        await read(config, site)


async def test_a_vm_whose_host_the_user_may_not_see_is_refused(site: Site) -> None:
    with pytest.raises(InvalidSourceError, match="may not see"):
        await read(vm(path=None), site)


async def test_a_vm_that_the_server_cannot_read_is_left_to_the_rules(site: Site) -> None:
    config = vm(path=None).model_copy(update={"unreadable": "It is orphaned."})

    assert await read(config, site) == config


async def read(config: VmConfig, site: Site) -> VmConfig:
    async def found(vm_id: str) -> VmConfig:
        return config

    provider = SourceProvider(access(), found)
    return (await SOURCE.read("vm-1", site, provider, without=())).config


@pytest.fixture
def site(local_agent: Any) -> Site:
    return Site(local_agent, ())


# --- whom the job trusts ---------------------------------------------------------------------------------


def test_by_default_the_job_trusts_whom_its_host_trusts() -> None:
    found = given()

    assert "no_verify" not in url_of(found)
    assert found.preparation is None


def test_a_ca_of_the_provider_is_the_only_one_that_the_job_trusts() -> None:
    found = given(reached=access(ca_pem="-----PEM of a CA-----"))

    [_, file] = found.files
    assert found.preparation == {"trust": file.name}
    assert file.data == b"-----PEM of a CA-----"
    assert "no_verify" not in url_of(found)


@pytest.mark.parametrize("verify", [True, False])
def test_a_pinned_certificate_is_the_only_one_that_the_job_trusts(verify: bool) -> None:
    found = given(reached=access(thumbprint=":".join(["AB"] * 32), verify=verify, ca_pem="other"))

    [_, file] = found.files
    assert found.preparation == {"trust": file.name}
    assert file.data.decode() == ORIGIN["certificate_pem"]
    assert "no_verify" not in url_of(found)


def test_a_pinned_certificate_for_another_name_is_refused_rather_than_not_verified() -> None:
    with pytest.raises(TlsPinUnsupportedError):
        given(vm(vouches_for_itself=None), access(thumbprint=":".join(["AB"] * 32)))


def test_nothing_is_verified_only_where_the_user_said_so() -> None:
    found = given(reached=access(verify=False))

    assert url_of(found).endswith("/esxi-1.example?no_verify=1")
    assert found.preparation is None


def test_vddk_is_told_where_it_lies_and_which_certificate_was_seen() -> None:
    found = given(reached=access(vddk_libdir="/opt/v d"))

    words = ("-it", "vddk", "-io", "vddk-libdir=/opt/v d", "-io", "vddk-thumbprint=AA:BB")
    assert found.argv[-7:-1] == words


# --- what it can't do ------------------------------------------------------------------------------------


def test_the_host_needs_what_the_way_needs() -> None:
    url = access().url

    assert SOURCE.abilities(url, VmwareOptions()) == {"input:libvirt", "option:vcenter-https"}
    assert SOURCE.abilities(url, VmwareOptions(vddk_libdir="/opt/vddk")) == {
        "input:libvirt",
        "option:vddk",
    }


def test_disks_can_not_be_left_out_and_nothing_is_only_copied() -> None:
    asked = ImportProperties.model_validate(
        {
            "disks": [{"source_disk_id": "scsi0:0", "include": False}],
            "conversion": {"mode": "copy"},
        }
    )

    faults = SOURCE.unsupported(access().url, VmwareOptions(), asked)

    assert [pointer for pointer, _ in faults] == ["/disks/0/include", "/conversion/mode"]


# --- by SSH from the datastores of an ESXi host ----------------------------------------------------------

ESXI = {"api": "esxi", "vmx": "[datastore 1] it's web/web #1.vmx"}


def by_ssh(**changes: Any) -> ProviderAccess:
    ssh = SshAccess("root", SecretStr("-----KEY-----"), None, "ssh-ed25519 AAAA")
    options = VmwareOptions(transport=Transport.SSH)
    return replace(access("https://esxi.example"), **{"ssh": ssh, "options": options, **changes})


async def read_by_ssh(config: VmConfig, site: Site) -> None:
    async def found(vm_id: str) -> VmConfig:
        return config

    await SOURCE.read("vm-1", site, SourceProvider(by_ssh(), found), without=())


def test_virt_v2v_reads_the_file_from_its_datastore_by_the_key() -> None:
    found = given(vm(**ESXI), by_ssh())

    assert found.argv == (
        *("-i", "vmx", "-it", "ssh"),
        "ssh://root@esxi.example:22/vmfs/volumes/datastore%201/it%27s%20web/web%20%231.vmx",
    )
    [file] = found.files
    assert (file.name, file.data, file.secret) == ("provider-secret", b"-----KEY-----\n", True)
    assert found.preparation is not None
    assert found.preparation["secret"] == "provider-secret"
    assert found.preparation["ssh"]["host_key"] == "ssh-ed25519 AAAA"
    assert SOURCE.abilities(by_ssh().url, by_ssh().options) == {"input:vmx"}


def test_a_password_is_named_by_its_file() -> None:
    ssh = SshAccess("root", None, SecretStr("s3cret & more"), "ssh-ed25519 AAAA")
    found = given(vm(**ESXI), by_ssh(ssh=ssh, options=VmwareOptions(transport=Transport.SSH, ssh_port=2222)))

    assert found.argv[4:6] == ("-ip", f"{DIRECTORY}/provider-secret")
    assert found.argv[-1].startswith("ssh://root@esxi.example:2222/")
    assert [file.data for file in found.files] == [b"s3cret & more"]
    assert "s3cret" not in str((found.argv, found.preparation))


@pytest.mark.parametrize(
    ("members", "origin", "error"),
    [
        ({}, {"api": "vcenter"}, ProviderRefusedError),
        ({"has_snapshots": True}, {}, InvalidSourceError),
        (
            {"disks": (SourceDisk(id="sata0:0", label="Hard disk 1", bus="sata", capacity_bytes=1),)},
            {},
            InvalidSourceError,
        ),
        ({}, {"vmx": None}, InvalidSourceError),
        ({}, {"vmx": "web.vmx"}, InvalidSourceError),
        ({}, {"vmx": "[ds] ../web.vmx"}, InvalidSourceError),
    ],
)
async def test_what_can_t_be_read_by_ssh_is_refused_before_the_start(
    site: Site, members: dict[str, Any], origin: dict[str, str | None], error: type[AppError]
) -> None:
    with pytest.raises(error):
        await read_by_ssh(vm(**{**ESXI, **origin}).model_copy(update=members), site)


async def test_what_can_be_read_by_ssh_is_not_refused(site: Site) -> None:
    disk = SourceDisk(id="scsi0:0", label="Hard disk 1", bus="scsi", capacity_bytes=1)
    await read_by_ssh(vm(**ESXI).model_copy(update={"disks": (disk,)}), site)


def test_vddk_is_used_only_where_it_is_meant() -> None:
    options = VmwareOptions(vddk_libdir="/opt/vddk", transport=Transport.HTTPS)
    assert "vddk" not in given(reached=replace(access(), options=options)).argv
    with pytest.raises(ValidationError):
        VmwareOptions(transport=Transport.VDDK)
