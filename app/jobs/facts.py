"""What an attempt's steps found out, typed again: each fact is written by one step and read by later ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from app.destinations.base import Made, Target
from app.errors import ImportFailureError, RecordUnreadableError, StalledError, TimeLimitError
from app.jobs.step import Turn
from app.models.attempts import Attempt
from app.models.columns import now
from app.models.vm import VmConfig
from app.proxy.agent_client import AttemptPlace
from app.proxy.mounts import Mount
from app.services.specs import VmImportCreate
from app.sources import SourceSpec

CONFIG, SOURCE, BEHIND, ROOTS, MOUNTS = "config", "source", "behind", "roots", "mounts"
PLACE, TARGET, MADE = "place", "target", "made"
LAUNCHED, MACHINE_READABLE, AT = "launched", "machine_readable", "at"
EXCEEDED, OVER = "exceeded", "over"

T = TypeVar("T")


@dataclass(frozen=True)
class Exceeded:
    """A limit that virt-v2v went beyond, told as a sentence."""

    code: Literal["stalled", "time_limit_exceeded"]
    detail: str

    def error(self) -> ImportFailureError:
        return (StalledError if self.code == StalledError.code else TimeLimitError)(self.detail)


_configs = TypeAdapter(VmConfig)
_roots: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
_mounts: TypeAdapter[tuple[Mount, ...]] = TypeAdapter(tuple[Mount, ...])
_sources: TypeAdapter[SourceSpec] = TypeAdapter(SourceSpec)
_places = TypeAdapter(AttemptPlace)
_targets = TypeAdapter(Target)
_mades = TypeAdapter(Made)
_limits = TypeAdapter(Exceeded)


def config(turn: Turn) -> VmConfig:
    """The VM as it is to be (read_config)."""
    return _read(turn, CONFIG, _configs)


def source(turn: Turn) -> VmConfig:
    """The VM as it is at the source (read_config)."""
    return _read(turn, SOURCE, _configs)


def spec(turn: Turn) -> VmImportCreate:
    """The request, with the source that `read_config` found behind the one that was named."""
    if BEHIND not in turn.facts:
        return turn.spec
    return turn.spec.model_copy(update={"source": _read(turn, BEHIND, _sources)})


def roots(turn: Turn) -> tuple[str, ...]:
    """The directories that the source may read (read_config)."""
    return _read(turn, ROOTS, _roots)


def mounts(turn: Turn) -> tuple[Mount, ...]:
    """What has to be mounted for the source (read_config)."""
    return _read(turn, MOUNTS, _mounts) if MOUNTS in turn.facts else ()


def place(turn: Turn) -> AttemptPlace:
    """The attempt's directories on the proxy host (prepare_host)."""
    return _read(turn, PLACE, _places)


def target(turn: Turn) -> Target:
    """Where the VM goes (reserve_target)."""
    return _read(turn, TARGET, _targets)


def made(turn: Turn) -> Made:
    """What virt-v2v made (verify_output, update_target)."""
    return _read(turn, MADE, _mades)


def check(turn: Turn) -> None:
    """What is there must be readable before anything is built on it. Raises RecordUnreadableError."""
    for name, read in ((CONFIG, config), (SOURCE, source), (PLACE, place), (TARGET, target), (MADE, made)):
        if name in turn.facts:
            read(turn)


def _read(turn: Turn, name: str, kind: TypeAdapter[T]) -> T:
    """Raises RecordUnreadableError."""
    try:
        return kind.validate_python(turn.facts[name])
    except (KeyError, ValidationError) as error:
        raise RecordUnreadableError(f"What the attempt found out ({name}) can't be read any more.") from error


def is_machine_readable(attempt: Attempt) -> bool:
    """Whether virt-v2v was asked to write its log for programs (convert_disks)."""
    launched = attempt.facts.get(LAUNCHED)
    return isinstance(launched, dict) and bool(launched.get(MACHINE_READABLE))


def launched_seconds(attempt: Attempt) -> float:
    """How long ago virt-v2v was started; 0 where nobody knows, or where it lies ahead of this clock."""
    launched = attempt.facts.get(LAUNCHED)
    try:
        at = datetime.fromisoformat(launched[AT]) if isinstance(launched, dict) else now()
        return max((now() - at).total_seconds(), 0.0)
    except (KeyError, TypeError, ValueError):
        return 0.0


def may_run(attempt: Attempt) -> bool:
    """Whether virt-v2v was started, and nobody has seen since that it is over (convert_disks)."""
    return LAUNCHED in attempt.facts and OVER not in attempt.facts


def exceeded(turn: Turn) -> ImportFailureError | None:
    """The limit that virt-v2v went beyond (the watcher)."""
    found = turn.facts.get(EXCEEDED)
    return None if found is None else _read(turn, EXCEEDED, _limits).error()


def plain(value: VmConfig | AttemptPlace | Target | Made | Exceeded) -> Any:
    """The value as plain JSON, as it is saved."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")
