"""What a VM's configuration in vSphere becomes in our words."""

from typing import Any

import pytest
from pyVmomi import vim

from app.children.vsphere.devices import devices
from app.children.vsphere.features import features
from app.children.vsphere.retrieving import Found
from app.concerns import assess
from app.models.vm import VmConfig

device = vim.vm.device
Disk = device.VirtualDisk
Card = device.VirtualEthernetCard
SCSI = device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing")


def config_of(*all_devices: Any, **settings: Any) -> Any:
    defaults = {"version": "vmx-19", "flags": vim.vm.FlagInfo()}
    hardware = vim.vm.VirtualHardware(device=list(all_devices), numCPU=2, memoryMB=1024)
    return vim.vm.ConfigInfo(hardware=hardware, **{**defaults, **settings})


def read(*all_devices: Any, around: tuple[Found, ...] = (), **properties: Any) -> VmConfig:
    vm = Found(vim.VirtualMachine("vm-1"), {"config": config_of(*all_devices), **properties})
    return VmConfig.model_validate({"id": "vm-1", "name": "x", **devices(vm, [vm, *around])})


def featured(*all_devices: Any, runtime: Any = None, **settings: Any) -> VmConfig:
    told = features(config_of(*all_devices, **settings), runtime)
    return VmConfig.model_validate({"id": "vm-1", "name": "x", **told})


def disk(unit: int = 0, *, key: int = 2000, controller: int = 1000, **backing: Any) -> Any:
    file = {"fileName": f"[ds] x/{key}.vmdk", "diskMode": "persistent", **backing}
    return Disk(
        key=key,
        controllerKey=controller,
        unitNumber=unit,
        capacityInKB=1024,
        deviceInfo=vim.Description(label=f"Hard disk {key}", summary=""),
        backing=Disk.FlatVer2BackingInfo(**file),
    )


def card(kind: Any = device.VirtualVmxnet3, *, key: int = 4000, **values: Any) -> Any:
    return kind(key=key, macAddress="00:50:56:00:00:01", **values)


def test_disks_are_in_the_order_of_the_guest_whatever_the_order_of_the_devices() -> None:
    sata = device.VirtualAHCIController(key=15000, busNumber=0)
    second = device.VirtualLsiLogicController(key=1001, busNumber=1, sharedBus="noSharing")
    found = read(
        disk(0, key=2003, controller=15000),
        disk(0, key=2002, controller=1001),
        disk(2, key=2001),
        disk(0, key=2000),
        sata,
        second,
        SCSI,
    )

    assert [(each.id, each.bus) for each in found.disks] == [
        ("scsi0:0", "scsi"),
        ("scsi0:2", "scsi"),
        ("scsi1:0", "scsi"),
        ("sata0:0", "sata"),
    ]


def test_a_disk_on_no_known_controller_is_told_all_the_same() -> None:
    [found] = read(disk(controller=9)).disks

    assert (found.id, found.bus, found.label) == ("disk2000", None, "Hard disk 2000")


@pytest.mark.parametrize(
    ("backing", "code"),
    [
        ({"sharing": "sharingMultiWriter"}, "disk_shared"),
        ({"diskMode": "independent_persistent"}, "disk_independent"),
        ({"diskMode": "independent_nonpersistent"}, "disk_nonpersistent"),
        ({"diskMode": "nonpersistent"}, "disk_nonpersistent"),
    ],
)
def test_how_a_disk_is_attached_is_a_concern(backing: dict[str, str], code: str) -> None:
    assert code in {concern.code for concern in assess(read(SCSI, disk(**backing)))}


def test_a_disk_on_a_shared_bus_is_shared() -> None:
    bus = device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="physicalSharing")

    assert read(bus, disk()).disks[0].is_shared


def test_a_raw_device_is_told() -> None:
    mapped = disk()
    mapped.backing = Disk.RawDiskMappingVer1BackingInfo(fileName="[ds] x/rdm.vmdk", diskMode=None)

    [found] = read(SCSI, mapped).disks

    assert (found.is_raw_device, found.mode, found.path) == (True, None, "[ds] x/rdm.vmdk")


def test_a_disk_uses_what_the_files_of_its_whole_chain_use() -> None:
    layout = vim.vm.FileLayoutEx
    chain = [layout.DiskUnit(fileKey=[1, 2]), layout.DiskUnit(fileKey=[3])]
    files = [layout.FileInfo(key=key, size=10**key) for key in (1, 2, 3, 4)]

    found = read(
        SCSI,
        disk(),
        **{"layoutEx.disk": [layout.DiskLayout(key=2000, chain=chain)], "layoutEx.file": files},
    )

    assert found.disks[0].used_bytes == 1110


def test_nics_are_told_with_the_names_of_their_networks() -> None:
    port = vim.dvs.PortConnection(portgroupKey="dvportgroup-7", switchUuid="s")
    found = read(
        card(device.VirtualE1000e, key=4001, backing=Card.DistributedVirtualPortBackingInfo(port=port)),
        card(backing=Card.NetworkBackingInfo(deviceName="VM Network")),
        card(
            device.VirtualSriovEthernetCard,
            key=4002,
            backing=Card.OpaqueNetworkBackingInfo(opaqueNetworkId="o-1", opaqueNetworkType="nsx"),
        ),
        around=(
            Found(object(), {"name": "Web: port group", "key": "dvportgroup-7"}),
            Found(object(), {"name": "Segment", "summary": vim.OpaqueNetwork.Summary(opaqueNetworkId="o-1")}),
        ),
    )

    assert [(nic.id, nic.network, nic.model) for nic in found.nics] == [
        ("ethernet0", "VM Network", "vmxnet3"),
        ("ethernet1", "Web: port group", "e1000e"),
        ("ethernet2", "Segment", "passthrough"),
    ]


def test_a_network_that_the_user_may_not_see_is_told_by_its_key() -> None:
    port = vim.dvs.PortConnection(portgroupKey="dvportgroup-7", switchUuid="s")

    [nic] = read(card(backing=Card.DistributedVirtualPortBackingInfo(port=port))).nics

    assert nic.network == "dvportgroup-7"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"changeTrackingEnabled": True}, "change_tracking"),
        ({"keyId": vim.encryption.CryptoKeyId(keyId="k")}, "vm_encrypted"),
        ({"bootOptions": vim.vm.BootOptions(efiSecureBootEnabled=True)}, "secure_boot_off"),
        ({"cpuHotAddEnabled": True}, "hot_add"),
        ({"nestedHVEnabled": True}, "nested_virtualization"),
        ({"cpuAffinity": vim.vm.AffinityInfo(affinitySet=[0, 1])}, "cpu_affinity"),
        ({"flags": vim.vm.FlagInfo(vbsEnabled=True)}, "virtualization_based_security"),
        ({"latencySensitivity": vim.LatencySensitivity(level="high")}, "latency_sensitivity"),
        ({"memoryAllocation": vim.ResourceAllocationInfo(reservation=512)}, "resource_limits"),
        ({"cpuAllocation": vim.ResourceAllocationInfo(reservation=0, limit=1000)}, "resource_limits"),
        ({"npivNodeWorldWideName": [1]}, "npiv"),
        ({"cpuFeatureMask": [vim.host.CpuIdInfo(level=1)]}, "cpu_mask"),
        ({"managedBy": vim.ext.ManagedByInfo(extensionKey="com.example", type="x")}, "managed_by"),
        ({"extraConfig": [vim.option.OptionValue(key="numa.nodeAffinity", value="0")]}, "numa"),
        ({"extraConfig": [vim.option.OptionValue(key="disk.EnableUUID", value="TRUE")]}, "disk_uuid"),
        ({"version": "weird-1"}, "hardware_version_unknown"),
    ],
)
def test_what_a_vm_is_set_to_is_a_concern(settings: dict[str, Any], code: str) -> None:
    assert code in {concern.code for concern in assess(featured(**settings))}


@pytest.mark.parametrize(
    ("added", "code"),
    [
        (device.VirtualTPM(key=11000), "tpm_content_lost"),
        (device.VirtualPCIPassthrough(key=13000), "passthrough_device"),
        (device.VirtualUSB(key=14000), "usb_device"),
        (device.VirtualSerialPort(key=9000), "serial_console"),
        (device.VirtualParallelPort(key=10000), "parallel_port"),
        (device.VirtualEnsoniq1371(key=5000), "sound_card"),
        (Disk(key=2000, iofilter=["VMW_spm"]), "io_filters"),
        (card(connectable=device.VirtualDevice.ConnectInfo(startConnected=False)), "nic_unplugged"),
    ],
)
def test_a_device_that_is_not_imported_as_it_is_is_a_concern(added: Any, code: str) -> None:
    assert code in {concern.code for concern in assess(featured(added))}


@pytest.mark.parametrize(
    ("runtime", "code"),
    [
        ({"cryptoState": "locked"}, "vm_encrypted"),
        ({"consolidationNeeded": True}, "consolidation_needed"),
        ({"faultToleranceState": "running"}, "fault_tolerance"),
        (
            {"dasVmProtection": vim.vm.RuntimeInfo.DasProtectionState(dasProtected=True)},
            "high_availability",
        ),
    ],
)
def test_how_a_vm_runs_is_a_concern(runtime: dict[str, Any], code: str) -> None:
    assert code in {concern.code for concern in assess(featured(runtime=vim.vm.RuntimeInfo(**runtime)))}


def test_an_ordinary_vm_is_set_to_nothing() -> None:
    plain = featured(SCSI, disk(), runtime=vim.vm.RuntimeInfo(faultToleranceState="notConfigured"))

    assert plain.settings == {}
    assert not plain.is_encrypted
    assert not plain.secure_boot
