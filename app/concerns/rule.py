"""A rule: what it is called, how grave it is, and how it is found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from app.models.vm import Concern, ConcernSeverity, VmConfig

ANEW: Final = "Set it at the destination anew, if it is still wanted."


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


def rule_of_setting(
    code: str, severity: ConcernSeverity, title: str, *, setting: str, sentence: str, hint: str = ANEW
) -> Rule:
    """Finds the setting; `{}` in the sentence is its value."""
    return Rule(code, severity, title, hint, _told(setting, sentence))


def _told(name: str, sentence: str) -> Callable[[VmConfig], Iterator[Finding]]:
    def find(config: VmConfig) -> Iterator[Finding]:
        if name in config.settings:
            yield Finding(sentence.format(config.settings[name]))

    return find
