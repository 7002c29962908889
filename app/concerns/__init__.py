"""Concerns: coded findings about source VMs. A family of rules is one file and one name in RULES."""

from app.concerns.disks import DISKS
from app.concerns.general import GENERAL
from app.concerns.guest import GUEST
from app.concerns.hardware import HARDWARE
from app.concerns.libvirt import LIBVIRT
from app.concerns.rule import Rule
from app.concerns.security import SECURITY
from app.concerns.settings import SETTINGS
from app.concerns.vsphere import VSPHERE
from app.models.vm import Concern, ConcernSeverity, VmConfig

_GRAVEST_FIRST = (ConcernSeverity.CRITICAL, ConcernSeverity.WARNING, ConcernSeverity.INFO)
RULES: tuple[Rule, ...] = tuple(
    sorted(
        (*GENERAL, *SECURITY, *DISKS, *HARDWARE, *SETTINGS, *LIBVIRT, *VSPHERE, *GUEST),
        key=lambda rule: _GRAVEST_FIRST.index(rule.severity),
    )
)
"""Every rule, in the order in which its findings are told; the docs and `/v1/kinds` show this table."""


def assess(config: VmConfig) -> tuple[Concern, ...]:
    """What every rule finds in the VM."""
    return tuple(concern for rule in RULES for concern in rule.concerns(config))
