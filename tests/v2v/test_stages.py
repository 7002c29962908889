"""Stages are known by how their text begins, in every version of virt-v2v."""

import pytest

from app.v2v.stages import STAGES, stage_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        # 1.x
        ("Opening the source -i libvirt -ic vpx://vcenter/DC/esxi guest", "opening_source"),
        ("Creating an overlay to protect the source from being modified", "creating_overlay"),
        ("Opening the overlay", "opening_overlay"),
        ("Inspecting the overlay", "inspecting"),
        ("Estimating space required on target for each disk", "estimating_space"),
        ("Initializing the target -o vdsm", "setting_up_destination"),
        ("Copying disk 1/2 to /var/tmp/web-sda (raw)", "copying"),
        # 2.0, 2.2
        ("Setting up the source: -i disk guest.qcow2", "setting_up_source"),
        ("Checking for sufficient free disk space in the guest", "checking_free_space"),
        ("Converting Red Hat Enterprise Linux 9.4 (Plow) to run on KVM", "converting"),
        ("Mapping filesystem data to avoid copying unused and blank areas", "mapping_filesystem"),
        ("Assigning disks to buses", "assigning_buses"),
        ("Checking if the guest needs BIOS or UEFI to boot", "checking_firmware"),
        ("Setting up the destination: -o disk -os out", "setting_up_destination"),
        # 2.6
        ("Setting a random seed", "setting_random_seed"),
        ("Setting the machine ID in /etc/machine-id", "setting_machine_id"),
        ("SELinux relabelling", "selinux_relabelling"),
        # 2.10
        ("Checking filesystem integrity before conversion", "checking_filesystem_integrity"),
        ("Checking filesystem integrity after conversion", "checking_filesystem_integrity"),
        ("Detecting if this guest uses BIOS or UEFI to boot", "checking_firmware"),
        ("Detecting the boot device", "detecting_boot_device"),
        # of the future
        ("Doing what nobody has heard of", "other"),
        ("", "other"),
    ],
)
def test_a_stage_is_known_by_its_text(text: str, name: str) -> None:
    assert stage_name(text) == name


def test_no_beginning_hides_another() -> None:
    assert [stage_name(beginning) for beginning, _ in STAGES] == [name for _, name in STAGES]
