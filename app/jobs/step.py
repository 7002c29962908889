"""A step: do and undo; and the turn that both are given."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from app.db import Session
from app.errors import AppError, HostError, ImportFailureError
from app.jobs.context import Context
from app.models.attempts import Attempt
from app.models.common import Json
from app.models.imports import Direction, VmImport
from app.models.state import ImportState, StepName
from app.proxy.agent_client import HostAgent
from app.services import attempts, imports, timeline, turns
from app.services.specs import VmImportCreate, spec_from_row


@dataclass(frozen=True)
class Again:
    """The turn ends before the work does. The next one comes by a call, or after so many seconds.

    With a `reason` clients see that the import waits, and for what.
    """

    after_seconds: float
    reason: str | None = None


@dataclass(frozen=True)
class Saved:
    """The rows of a turn, held by one short transaction."""

    session: Session
    row: VmImport
    attempt: Attempt


class MovedError(ImportFailureError):
    """The chosen proxy host doesn't hold the source; another one may. `reason` is shown on the attempt."""

    code, title = "source_elsewhere", "The proxy host that was tried doesn't hold the source"
    is_shown = False

    def __init__(self, reason: AppError) -> None:
        super().__init__(reason.detail)
        self.reason = reason


class Turn:
    """One turn of one attempt: what is known, and the transactions in which it is saved."""

    def __init__(self, context: Context, row: VmImport, attempt: Attempt) -> None:
        """`row` and `attempt` are as the claim found them; `facts` follows what is saved."""
        self.context = context
        self.import_id, self.attempt_id = row.id, attempt.id
        self.number, self.turn = attempt.number, row.turn
        self.host_id, self.domain_id = attempt.proxy_host_id, attempt.storage_domain_id
        self.data_center_id, self.step = row.data_center_id, row.step
        self.keeps_on_failure = row.spec.get("keep_on_failure") is True
        self.facts: Json = attempt.facts
        self._saved_spec, self._sealed_secrets = row.spec, row.sealed_secrets

    @cached_property
    def spec(self) -> VmImportCreate:
        """The request, with its secrets: only to go forward. Raises RecordUnreadableError, SealError."""
        secrets = self.context.sealer.open(self._sealed_secrets, f"vm_imports:{self.import_id}")
        return spec_from_row(self._saved_spec, secrets)

    @asynccontextmanager
    async def saving(self) -> AsyncIterator[Saved]:
        """One transaction that holds the import's row. Raises FencedError when a newer turn took over."""
        async with self.context.database.session() as session:
            row = await turns.held(session, self.import_id, self.turn)
            attempt = await attempts.fresh(session, self.attempt_id)
            yield Saved(session, row, attempt)
        self.facts = attempt.facts

    async def enter(self, name: StepName) -> bool:
        """Save which step begins. False when the import is no longer to go forward."""
        async with self.saving() as saved:
            row = saved.row
            if row.state != ImportState.RUNNING or row.direction != Direction.FORWARD:
                return False
            is_news = row.step != name
            if is_news:
                row.step, row.stage = name, None
                timeline.note(saved.session, row, "step_begun", step=name)
                imports.changed(row)
        if is_news:
            await self.announce()
        return True

    async def learn(self, **facts: Any) -> None:
        """Save facts (plain JSON values) that later steps and turns need."""
        async with self.saving() as saved:
            attempts.learn(saved.attempt, **facts)

    async def agent(self) -> HostAgent:
        """The agent on the attempt's proxy host. Raises HostError."""
        if self.host_id is None:
            raise HostError("The attempt has no proxy host.")
        return await self.context.agent(self.host_id, waits=False)

    async def announce(self) -> None:
        await self.context.announce(self.import_id)


class Step(Protocol):
    """One step of an import. Both methods may run twice, and `undo` may find half.

    With `keep` (`keep_on_failure`) `undo` leaves what was made, but nothing that runs.
    """

    name: StepName

    async def do(self, turn: Turn) -> Again | None:
        """Raises AppError: the import fails, or the step is done again later when it is a HostError."""

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        """Raises AppError: again later."""


def following(steps: Sequence[Step], name: str | None) -> Sequence[Step]:
    """The steps from `name` on."""
    return steps[_index(steps, name) :]


def preceding(steps: Sequence[Step], name: str | None) -> Sequence[Step]:
    """`name` and the steps before it, in reverse."""
    return steps[_index(steps, name) :: -1]


def _index(steps: Sequence[Step], name: str | None) -> int:
    return next((number for number, step in enumerate(steps) if step.name == name), 0)
