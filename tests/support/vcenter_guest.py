"""A real guest in the simulated vCenter: its files on a datastore, its VM in the inventory."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyVmomi import vim

from app.children.vsphere.session import opened
from tests.support.vcenter import Vcenter

DATASTORE = "LocalDS_0"
CONTROLLER_KEY, DISK_KEY, NIC_KEY = 1000, 2000, 4000
VMX = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "13"
displayName = "{name}"
guestOS = "debian10-64"
uuid.bios = "{uuid}"
memSize = "1024"
numvcpus = "1"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.deviceType = "scsi-hardDisk"
scsi0:0.fileName = "{name}.vmdk"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "VM Network"
ethernet0.addressType = "generated"
ethernet0.generatedAddress = "00:0c:29:00:00:07"
"""
"""No `firmware`: libvirt 9 refuses the word `bios`."""


def seed_guest(vcenter: Vcenter, image: Path, *, name: str = "guest") -> str:
    """A VM with the image as its disk, shut off; its id."""
    capacity = _virtual_size(image)
    with opened(vcenter.request("check")) as session:
        datacenter = session.content.rootFolder.childEntity[0]
        compute = datacenter.hostFolder.childEntity[0]
        task = datacenter.vmFolder.CreateVM_Task(_spec(name, capacity), compute.resourcePool, compute.host[0])
        vm = task.info.result
        assert vm is not None, task.info.error
        store = next(
            each for each in datacenter.datastoreFolder.childEntity if each.summary.name == DATASTORE
        )
        _fill(Path(store.info.url) / name, image, name, vm.config.uuid)
        identity: str = vm._moId
    return identity


@contextlib.contextmanager
def mounted_datastore(esxi: Vcenter) -> Iterator[None]:
    """`/vmfs/volumes/NAME` of this machine leads to it meanwhile. It takes root."""
    with opened(esxi.request("check")) as session:
        datacenter = session.content.rootFolder.childEntity[0]
        store = next(
            each for each in datacenter.datastoreFolder.childEntity if each.summary.name == DATASTORE
        )
        directory = Path(store.info.url)
    place = Path("/vmfs/volumes") / DATASTORE
    made = [path for path in (place.parent.parent, place.parent) if not path.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(directory)
    try:
        yield
    finally:
        place.unlink()
        for path in reversed(made):
            path.rmdir()


def _spec(name: str, capacity: int) -> Any:
    device = vim.vm.device
    backing = device.VirtualDisk.FlatVer2BackingInfo(
        fileName=f"[{DATASTORE}] {name}/{name}.vmdk", diskMode="persistent", thinProvisioned=True
    )
    network = device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    disk = device.VirtualDisk(
        key=DISK_KEY,
        controllerKey=CONTROLLER_KEY,
        unitNumber=0,
        capacityInKB=capacity // 1024,
        backing=backing,
    )
    devices = [
        device.ParaVirtualSCSIController(key=CONTROLLER_KEY, busNumber=0, sharedBus="noSharing"),
        device.VirtualVmxnet3(key=NIC_KEY, backing=network, macAddress="00:0c:29:00:00:07"),
    ]
    added = device.VirtualDeviceSpec
    return vim.vm.ConfigSpec(
        name=name,
        guestId="debian10_64Guest",
        numCPUs=1,
        memoryMB=1024,
        files=vim.vm.FileInfo(vmPathName=f"[{DATASTORE}] {name}/{name}.vmx"),
        deviceChange=[
            *(added(operation="add", device=each) for each in devices),
            added(operation="add", fileOperation="create", device=disk),
        ],
    )


def _fill(directory: Path, image: Path, name: str, uuid: str) -> None:
    """What ESXi would have there; clients read the flat file, and nothing of the descriptor."""
    directory.mkdir(exist_ok=True)
    flat = directory / f"{name}-flat.vmdk"
    command = ["qemu-img", "convert", "-O", "raw", image, flat]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=120)
    (directory / f"{name}.vmx").write_text(VMX.format(name=name, uuid=_vmx_uuid(uuid)))


def _vmx_uuid(uuid: str) -> str:
    """`56 4d … - …`: pairs of digits, with a dash in the middle."""
    digits = uuid.replace("-", "")
    pairs = [digits[at : at + 2] for at in range(0, 32, 2)]
    return f"{' '.join(pairs[:8])}-{' '.join(pairs[8:])}"


def _virtual_size(image: Path) -> int:
    told = subprocess.run(
        ["qemu-img", "info", "--output=json", image], check=True, capture_output=True, timeout=60
    )
    size: int = json.loads(told.stdout)["virtual-size"]
    return size
