"""What an OVF tells beyond the usual, as VMware's products write it."""

from typing import Any

import pytest

from app.formats.ovf import read_ovf
from app.models.vm import VmConfig
from tests.support.ovas import ovf

ITEM = (
    "<Item><rasd:ElementName>card 1</rasd:ElementName><rasd:ResourceSubType>{}</rasd:ResourceSubType></Item>"
)
CONFIG = '<vmw:Config xmlns:vmw="http://www.vmware.com/schema/ovf" vmw:key="{}" vmw:value="{}"/>'


def with_hardware(extra: str) -> VmConfig:
    text = ovf().decode()
    assert "</VirtualHardwareSection>" in text
    return read_ovf(
        text.replace("</VirtualHardwareSection>", f"{extra}</VirtualHardwareSection>").encode()
    ).config


@pytest.mark.parametrize(
    ("extra", "facts"),
    [
        (CONFIG.format("bootOptions.efiSecureBootEnabled", "true"), {"secure_boot": True}),
        (CONFIG.format("uefi.secureBoot.enabled", "FALSE"), {"secure_boot": False}),
        (CONFIG.format("cpuHotAddEnabled", "true"), {"cpu_hot_add": True}),
        (CONFIG.format("memoryHotAddEnabled", "true"), {"memory_hot_add": True}),
        (CONFIG.format("nestedHVEnabled", "true"), {"nested_virtualization": True}),
        (ITEM.format("vmware.vtpm"), {"has_tpm": True}),
        (ITEM.format("vmware.pcipassthrough"), {"passthrough_devices": ("card 1",)}),
        (ITEM.format("vmware.usb.device"), {"usb_devices": ("card 1",)}),
        ("<System><vssd:VirtualSystemType>vmx-10 vmx-11</vssd:VirtualSystemType></System>",
         {"hardware_version": "vmx-10"}),
        ("<EncryptedData/>", {"is_encrypted": True}),
    ],
)  # fmt: skip
def test_what_concerns_look_at_is_read(extra: str, facts: dict[str, Any]) -> None:
    config = with_hardware(extra)
    assert {name: getattr(config, name) for name in facts} == facts


def test_what_is_not_told_is_unknown() -> None:
    config = with_hardware("")
    assert (config.secure_boot, config.has_tpm, config.is_encrypted, config.cpu_hot_add) == (None,) * 4
    assert (config.hardware_version, config.passthrough_devices, config.usb_devices) == (None, (), ())
