"""What a round may break. A new fault is one function in one of these files, with its decorator."""

from tests.chaos.faults import hosts, processes, storage, surroundings, virt_v2v
from tests.chaos.faults.base import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "hosts", "processes", "storage", "surroundings", "virt_v2v"]
