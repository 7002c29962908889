"""What routes depend on, as annotated aliases."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from app.api.state import AppState
from app.api.work import AfterCommit, Work, work_session
from app.db import Session
from app.errors import ForbiddenError
from app.models.state import Role
from app.models.tokens import ApiToken
from app.services import tokens

RANK: Final = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}
"""Each role may also do what those before it may."""

bearer = HTTPBearer(auto_error=False, scheme_name="token", description="An API token.")


@dataclass(frozen=True)
class Caller:
    """Whose token the request came with."""

    token_id: UUID
    name: str
    role: Role


def state_of(request: Request) -> AppState:
    state: AppState = request.app.state.service
    return state


StateDep = Annotated[AppState, Depends(state_of)]


def after_commit(request: Request) -> AfterCommit:
    work: Work = request.state.work
    return work.after


async def _reading(state: StateDep) -> AsyncIterator[Session]:
    async with state.database.reading() as session:
        yield session


def caller_of(token: ApiToken) -> Caller:
    return Caller(token.id, token.name, Role(token.role))


def require(caller: Caller, role: Role) -> Caller:
    """Raises ForbiddenError."""
    if RANK[caller.role] < RANK[role]:
        raise ForbiddenError(f"This needs the role {role}; the token's is {caller.role}.")
    return caller


def _with_role(role: Role) -> Callable[..., Awaitable[Caller]]:
    async def caller(
        request: Request,
        state: StateDep,
        _: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)] = None,
    ) -> Caller:
        async with state.database.reading() as session:
            token = await tokens.authenticate(session, request.headers.get("Authorization", ""))
        return require(caller_of(token), role)

    return caller


# A caller is looked at before a session is opened: dependencies run in the order of a route's parameters,
# so routes name the caller first.
ViewerDep = Annotated[Caller, Depends(_with_role(Role.VIEWER))]
OperatorDep = Annotated[Caller, Depends(_with_role(Role.OPERATOR))]
AdminDep = Annotated[Caller, Depends(_with_role(Role.ADMIN))]

SessionDep = Annotated[Session, Depends(work_session)]
"""One writing transaction a request, committed before the answer is sent and before what follows it."""
ReadingDep = Annotated[Session, Depends(_reading, scope="function")]
"""One reading transaction."""
AfterCommitDep = Annotated[AfterCommit, Depends(after_commit)]
