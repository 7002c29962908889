"""Names the stages that virt-v2v announces: by their text, for their order and number differ by version."""

from typing import Final

STAGES: Final = (
    ("Checking the checksum", "checking_source"),
    ("Checking the disk images", "checking_source"),
    ("Unpacking", "unpacking_source"),
    ("Setting up the source", "setting_up_source"),
    ("Opening the source", "opening_source"),
    ("Creating an overlay", "creating_overlay"),
    ("Opening the overlay", "opening_overlay"),
    ("Checking filesystem integrity", "checking_filesystem_integrity"),
    ("Detecting if this guest uses BIOS or UEFI", "checking_firmware"),
    ("Inspecting the source", "inspecting"),
    ("Inspecting the overlay", "inspecting"),
    ("Detecting the boot device", "detecting_boot_device"),
    ("Checking for sufficient free disk space in the guest", "checking_free_space"),
    ("Estimating space required", "estimating_space"),
    ("Converting", "converting"),
    ("Setting a random seed", "setting_random_seed"),
    ("Setting the machine ID", "setting_machine_id"),
    ("SELinux relabelling", "selinux_relabelling"),
    ("Mapping filesystem data", "mapping_filesystem"),
    ("Closing the overlay", "closing_overlay"),
    ("Assigning disks to buses", "assigning_buses"),
    ("Checking if the guest needs BIOS or UEFI", "checking_firmware"),
    ("Setting up the destination", "setting_up_destination"),
    ("Initializing the target", "setting_up_destination"),
    ("Copying disk", "copying"),
    ("Creating output metadata", "creating_metadata"),
    ("Finishing off", "finishing"),
)
"""How virt-v2v 1.x to 2.10, and before it our preparation, begin a stage's text, and our name for it."""
UNKNOWN: Final = "other"


def stage_name(text: str) -> str:
    """Our name for the stage; `other` for one that is not known."""
    return next((name for beginning, name in STAGES if text.startswith(beginning)), UNKNOWN)
