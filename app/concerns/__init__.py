"""Concerns: coded findings about source VMs. A family of rules is one file and one name in RULES."""

from app.concerns.general import GENERAL
from app.concerns.rule import Rule
from app.models.vm import Concern, VmConfig

RULES: tuple[Rule, ...] = (*GENERAL,)
"""Every rule, in the order in which its findings are told; the docs and `/v1/kinds` show this table."""


def assess(config: VmConfig) -> tuple[Concern, ...]:
    """What every rule finds in the VM."""
    return tuple(concern for rule in RULES for concern in rule.concerns(config))
