"""What an attempt's steps found out, typed again: each fact is written by one step and read by later ones."""

from typing import Any

from pydantic import TypeAdapter

from app.destinations.base import Made, Target
from app.jobs.step import Turn
from app.models.vm import VmConfig
from app.proxy.agent_client import AttemptPlace

CONFIG, SOURCE, PLACE, TARGET, MADE = "config", "source", "place", "target", "made"
LAUNCHED, MACHINE_READABLE = "launched", "machine_readable"

_configs = TypeAdapter(VmConfig)
_places = TypeAdapter(AttemptPlace)
_targets = TypeAdapter(Target)
_mades = TypeAdapter(Made)


def config(turn: Turn) -> VmConfig:
    """The VM as it is to be (read_config)."""
    return _configs.validate_python(turn.facts[CONFIG])


def source(turn: Turn) -> VmConfig:
    """The VM as it is at the source (read_config)."""
    return _configs.validate_python(turn.facts[SOURCE])


def place(turn: Turn) -> AttemptPlace:
    """The attempt's directories on the proxy host (prepare_host)."""
    return _places.validate_python(turn.facts[PLACE])


def target(turn: Turn) -> Target:
    """Where the VM goes (reserve_target)."""
    return _targets.validate_python(turn.facts[TARGET])


def made(turn: Turn) -> Made:
    """What virt-v2v made (verify_output, update_target)."""
    return _mades.validate_python(turn.facts[MADE])


def plain(value: VmConfig | AttemptPlace | Target | Made) -> Any:
    """The value as plain JSON, as it is saved."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")
