"""Rules about what else a VM is set to at its source, which the imported VM will not have."""

from collections.abc import Callable, Iterator

from app.concerns.rule import Finding, Rule
from app.models.vm import ConcernSeverity, VmConfig

INFO, WARNING = ConcernSeverity.INFO, ConcernSeverity.WARNING
ANEW = "Set it at the destination anew, if it is still wanted."


def _told(name: str, sentence: str) -> Callable[[VmConfig], Iterator[Finding]]:
    """Finds the setting; `{}` in the sentence is its value."""

    def find(config: VmConfig) -> Iterator[Finding]:
        if name in config.settings:
            yield Finding(sentence.format(config.settings[name]))

    return find


def _rule(
    code: str, severity: ConcernSeverity, title: str, *, setting: str, sentence: str, hint: str = ANEW
) -> Rule:
    return Rule(code, severity, title, hint, _told(setting, sentence))


SETTINGS: tuple[Rule, ...] = (
    _rule(
        "domain_attached",
        WARNING,
        "The storage domain may be in use",
        setting="attached_domain",
        sentence="The data domain is attached to a data center, whose engine may run VMs from it.",
        hint="Detach the domain first: a running VM's disks change while they are copied.",
    ),
    _rule(
        "custom_properties",
        WARNING,
        "Custom properties are not imported",
        setting="custom_properties",
        sentence="The VM has custom properties ({}), which hooks of its hosts acted on.",
        hint="Find out what they did for the guest, and set that up at the destination.",
    ),
    _rule(
        "host_pinning",
        WARNING,
        "The VM was bound to hosts",
        setting="pinned_to_host",
        sentence="The VM was not to be moved between hosts; that is not imported.",
        hint="Find out why: a device, a licence or a CPU of that host may be needed.",
    ),
    _rule(
        "cpu_model",
        WARNING,
        "The CPU model is not imported",
        setting="cpu_model",
        sentence="The VM has the CPU model {}; the destination chooses its own.",
    ),
    _rule(
        "host_cpu",
        WARNING,
        "The host's CPU is not passed through",
        setting="host_cpu",
        sentence="The VM was given its host's own CPU; the destination chooses a model.",
    ),
    _rule(
        "numa",
        WARNING,
        "NUMA nodes are not imported",
        setting="numa",
        sentence="The VM has NUMA nodes of its own, which the imported VM will not have.",
    ),
    _rule(
        "scsi_reservation",
        WARNING,
        "A disk used SCSI reservations",
        setting="scsi_reservation",
        sentence="A disk of the VM may be reserved by SCSI commands, as clusters do; the copy can't be.",
        hint="Import the VM as one that is in no cluster, or attach the LUN itself.",
    ),
    _rule(
        "storage_lease",
        WARNING,
        "The storage lease is not imported",
        setting="lease",
        sentence="A lease on storage keeps the VM from running twice; the imported VM has none.",
        hint="Don't start the VM at its source once it runs at the destination.",
    ),
    _rule(
        "template_based",
        INFO,
        "The VM was made from a template",
        setting="template",
        sentence="The VM was made from the template {!r}; its disks become whole disks of their own.",
        hint="Nothing; the template itself is not imported.",
    ),
    _rule(
        "watchdog",
        INFO,
        "The watchdog is not imported",
        setting="watchdog",
        sentence="The VM has a watchdog ({}), which the imported VM will not have.",
    ),
    _rule(
        "high_availability",
        INFO,
        "High availability is not imported",
        setting="high_availability",
        sentence="The VM was restarted on another host when its own failed; that is not imported.",
    ),
    _rule(
        "resume_behavior",
        INFO,
        "What follows a storage error is not imported",
        setting="resume_behavior",
        sentence="After a storage error the VM was not simply resumed ({}); that is not imported.",
    ),
    _rule(
        "io_threads",
        INFO,
        "I/O threads are not imported",
        setting="io_threads",
        sentence="The VM has {} I/O threads.",
    ),
    _rule(
        "stateless",
        WARNING,
        "The VM forgot its changes at the source",
        setting="stateless",
        sentence="The VM is stateless: at its source it lost all changes when it was shut down.",
        hint="The imported VM keeps them. Set that at the destination anew if it is not wanted.",
    ),
    _rule(
        "machine_type",
        INFO,
        "The machine type is not imported",
        setting="machine_type",
        sentence="The VM has the machine type {}; the destination chooses its own.",
    ),
    _rule(
        "memory_balloon",
        INFO,
        "Memory ballooning is not imported",
        setting="balloon",
        sentence="The VM may give memory back to its host; the destination decides on that anew.",
    ),
    _rule(
        "boot_menu",
        INFO,
        "The boot menu is not imported",
        setting="boot_menu",
        sentence="The VM shows a boot menu.",
    ),
    _rule(
        "time_zone",
        INFO,
        "The clock's time zone is not imported",
        setting="time_zone",
        sentence="The VM's clock runs in the time zone {}.",
        hint="Check the guest's time after its first start: its clock may be off by hours.",
    ),
    _rule(
        "usb_redirection",
        INFO,
        "USB redirection is not imported",
        setting="usb_redirection",
        sentence="USB devices could be redirected to the VM; that is not imported.",
    ),
    _rule(
        "sound_card",
        INFO,
        "The sound card is not imported",
        setting="sound",
        sentence="The VM has a sound card ({}).",
    ),
    _rule(
        "serial_console",
        INFO,
        "The serial console is not imported",
        setting="serial_console",
        sentence="The VM has a serial console.",
    ),
    _rule(
        "smartcard",
        INFO,
        "The smartcard reader is not imported",
        setting="smartcard",
        sentence="The VM has a smartcard reader.",
    ),
    _rule(
        "nic_unplugged",
        WARNING,
        "A NIC was unplugged",
        setting="unplugged_nics",
        sentence="NICs of the VM were unplugged ({}); the imported VM has them plugged in.",
        hint="Take them away after the import, or map them to a network where they do no harm.",
    ),
    _rule(
        "nic_properties",
        INFO,
        "Custom properties of NICs are not imported",
        setting="nic_properties",
        sentence="A NIC of the VM has custom properties.",
    ),
)
