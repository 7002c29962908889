"""A rule: what it is called, how grave it is, and how it is found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.models.vm import Concern, ConcernSeverity, VmConfig


@dataclass(frozen=True)
class Finding:
    """What a rule found, and the disk or NIC that it is about."""

    message: str
    disk_id: str | None = None
    nic_id: str | None = None


@dataclass(frozen=True)
class Rule:
    """`code` is stable; `hint` says what to do about it."""

    code: str
    severity: ConcernSeverity
    title: str
    hint: str
    find: Callable[[VmConfig], Iterator[Finding]]

    def concerns(self, config: VmConfig) -> Iterator[Concern]:
        for finding in self.find(config):
            yield Concern(
                code=self.code,
                severity=self.severity,
                message=finding.message,
                disk_id=finding.disk_id,
                nic_id=finding.nic_id,
            )
