"""A step: do and undo; and the turn that both are given."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import HostError, ImportFailureError
from app.jobs.context import Context
from app.models.attempts import Attempt
from app.models.common import Json
from app.models.imports import VmImport
from app.models.state import StepName
from app.proxy.agent_client import HostAgent
from app.services import attempts, turns
from app.services.specs import VmImportCreate, spec_from_row


@dataclass(frozen=True)
class Again:
    """The turn ends before the work does. The next one comes by a call, or after so many seconds."""

    after_seconds: float | None = None


@dataclass(frozen=True)
class Saved:
    """The rows of a turn, held by one short transaction."""

    session: AsyncSession
    row: VmImport
    attempt: Attempt


class MovedError(ImportFailureError):
    """The chosen proxy host doesn't hold the source; another one may. Clients see why on the attempt."""

    code, title = "source_elsewhere", "The proxy host that was tried doesn't hold the source"


class Turn:
    """One turn of one attempt: what is known, and the transactions in which it is saved."""

    def __init__(
        self, context: Context, row: VmImport, attempt: Attempt, secrets: dict[str, SecretStr]
    ) -> None:
        """`row` and `attempt` are as the claim found them; `facts` follows what is saved."""
        self.context = context
        self.import_id, self.attempt_id = row.id, attempt.id
        self.number, self.turn = attempt.number, row.turn
        self.host_id, self.domain_id = attempt.proxy_host_id, row.storage_domain_id
        self.data_center_id = row.data_center_id
        self.spec: VmImportCreate = spec_from_row(row.spec, secrets)
        self.facts: Json = attempt.facts

    @asynccontextmanager
    async def saving(self) -> AsyncIterator[Saved]:
        """One transaction that holds the import's row. Raises FencedError when a newer turn took over."""
        async with self.context.database.session() as session:
            row = await turns.held(session, self.import_id, self.turn)
            attempt = await session.get_one(Attempt, self.attempt_id, populate_existing=True)
            yield Saved(session, row, attempt)
        self.facts = attempt.facts

    async def learn(self, **facts: Any) -> None:
        """Save facts (plain JSON values) that later steps and turns need."""
        async with self.saving() as saved:
            attempts.learn(saved.attempt, **facts)

    async def agent(self) -> HostAgent:
        """The agent on the attempt's proxy host. Raises HostError."""
        if self.host_id is None:
            raise HostError("The attempt has no proxy host.")
        return await self.context.agent(self.host_id)

    async def announce(self) -> None:
        await self.context.announce(self.import_id)


class Step(Protocol):
    """One step of an import. Both methods may run twice, and `undo` may find half.

    With `keep` (`keep_on_failure`) `undo` leaves what was made, but nothing that runs.
    """

    name: StepName

    async def do(self, turn: Turn) -> Again | None:
        """Raises AppError: the import fails, or goes on later when it is a HostError that may go away."""

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
