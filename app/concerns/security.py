"""Rules about what protects a VM: encryption, TPM, secure boot."""

from collections.abc import Iterator

from app.concerns.rule import Finding, Rule
from app.models.vm import ConcernSeverity, VmConfig


def _encrypted(config: VmConfig) -> Iterator[Finding]:
    if config.is_encrypted:
        yield Finding("The VM is encrypted by its hypervisor; neither it nor its disks can be read.")


def _tpm(config: VmConfig) -> Iterator[Finding]:
    if config.has_tpm:
        yield Finding("The VM has a virtual TPM, whose content is not imported.")


def _secure_boot(config: VmConfig) -> Iterator[Finding]:
    if config.secure_boot:
        yield Finding("The VM boots with Secure Boot, which is not switched on by the import.")


SECURITY: tuple[Rule, ...] = (
    Rule(
        "vm_encrypted",
        ConcernSeverity.CRITICAL,
        "The VM is encrypted",
        "Decrypt the VM and its disks at the source, then import it.",
        _encrypted,
    ),
    Rule(
        "tpm_content_lost",
        ConcernSeverity.WARNING,
        "The TPM's content is not imported",
        "Suspend what keeps its keys there (BitLocker), or have the recovery key at hand.",
        _tpm,
    ),
    Rule(
        "secure_boot_off",
        ConcernSeverity.WARNING,
        "Secure Boot is off after the import",
        "Switch it on after the import if the converted guest's drivers are signed.",
        _secure_boot,
    ),
)
