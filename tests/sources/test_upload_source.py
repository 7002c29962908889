"""Uploads as a source: whatever the files are is found out, and nothing else on the host is looked at."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.errors import InvalidSourceError, SourceNotFoundError, UnsupportedPropertyError
from app.proxy.agent_client import HostAgent
from app.sources.base import Site, SourceReading
from app.sources.upload import UploadedFiles, UploadSource
from tests.support.images import MIB, make_image
from tests.support.ovas import ovf, pack, vmdk

Image = Callable[[str], bytes]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """The bytes of a small image of a format."""

    def made(format_name: str) -> bytes:
        path = make_image(tmp_path / f"{uuid4().hex}.img", format_name)
        return path.read_bytes()

    return made


async def uploaded(agent: HostAgent, files: dict[str, bytes]) -> list[UUID]:
    ids = []
    for name, data in files.items():
        ids.append(uuid4())
        await agent.create_upload(ids[-1], name, len(data))
        async with agent.receive_upload(ids[-1], 0, None) as receiving:
            await receiving.send(data)
            await receiving.finish()
    return ids


async def read(agent: HostAgent, files: dict[str, bytes], **more: tuple[str, ...]) -> SourceReading:
    spec = UploadSource(kind="upload", upload_ids=tuple(await uploaded(agent, files)))
    return await UploadedFiles().read(spec, Site(agent, []), **more)


def domain(path: str) -> bytes:
    return (
        "<domain type='kvm'><name>web-1</name><memory unit='MiB'>512</memory><devices>"
        f"<disk type='file' device='disk'><source file='{path}'/><target dev='vda'/></disk>"
        "</devices></domain>"
    ).encode()


async def test_one_image_is_a_disk_of_its_own_format(local_agent: HostAgent, image: Image) -> None:
    reading = await read(local_agent, {"a/web 1.img": image("qcow2")})
    assert (reading.config.name, reading.config.disks[0].format) == ("web 1", "qcow2")
    assert reading.source is not None
    assert reading.source.model_dump()["kind"] == "disk"


@pytest.mark.parametrize("path", ["web.img", "/var/lib/libvirt/images/web.img"])
async def test_a_domain_finds_its_disk_among_the_uploads(
    local_agent: HostAgent, image: Image, path: str
) -> None:
    reading = await read(local_agent, {"web.xml": domain(path), "web.img": image("qcow2")})
    assert reading.config.disks[0].capacity_bytes == 4 * MIB
    assert (reading.config.disks[0].path or "").endswith("/web.img")


async def test_a_vmx_finds_its_disk_among_the_uploads(local_agent: HostAgent, tmp_path: Path) -> None:
    vmx = b'.encoding = "UTF-8"\nconfig.version = "8"\ndisplayName = "web-1"\nmemSize = "512"\n'
    vmx += b'scsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "web.vmdk"\n'
    reading = await read(local_agent, {"web.vmx": vmx, "web.vmdk": vmdk(tmp_path)})
    assert (reading.config.name, len(reading.config.disks)) == ("web-1", 1)


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_ova_is_one_whatever_its_name_is(
    local_agent: HostAgent, tmp_path: Path, *, compressed: bool
) -> None:
    files = {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)}
    packed = pack(tmp_path / "x", files, compressed=compressed).read_bytes()
    name = "web.tar.gz" if compressed else "odd"
    assert (await read(local_agent, {name: packed})).config.name == "web-1"


async def test_an_ovf_and_its_disks_are_what_an_ova_holds(local_agent: HostAgent, tmp_path: Path) -> None:
    reading = await read(local_agent, {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    assert len(reading.config.disks) == 1


async def test_a_disk_that_was_not_uploaded_is_named(local_agent: HostAgent) -> None:
    for path in ("web.img", "/etc/passwd"):
        with pytest.raises(InvalidSourceError, match=r"not uploaded|image"):
            await read(local_agent, {"web.xml": domain(path)})


async def test_the_only_disk_can_t_be_left_out(local_agent: HostAgent, image: Image) -> None:
    with pytest.raises(UnsupportedPropertyError):
        await read(local_agent, {"web.img": image("raw")}, without=("disk-1",))


async def test_uploads_that_the_host_has_lost_are_not_found(local_agent: HostAgent) -> None:
    with pytest.raises(SourceNotFoundError):
        await UploadedFiles().read(UploadSource(kind="upload", upload_ids=(uuid4(),)), Site(local_agent, []))


def test_an_upload_is_named_once() -> None:
    same = uuid4()
    with pytest.raises(ValueError, match="named twice"):
        UploadSource(kind="upload", upload_ids=(same, same))
