"""Checks an import request as far as can be without starting anything: what the job would check, now."""

from dataclasses import dataclass, field, replace
from uuid import UUID

from app.actions.command_line import command_line
from app.actions.examine import Examination, examine, refusals
from app.actions.providers import Providers
from app.actions.target import new_target
from app.db import Database
from app.errors import (
    AppError,
    HostError,
    ImportFailureError,
    InvalidNameError,
    NameInUseError,
    NoProxyHostError,
    Problem,
    SourceNotAllowedError,
    SourceNotFoundError,
)
from app.models.columns import new_id
from app.models.common import Shape
from app.models.vm import Concern
from app.providers.base import ProviderAccess, SourceProvider
from app.services import proxy_hosts, references, vm_names
from app.services.placement import Choice, Load, Wait, choose, current_load, need_of
from app.services.specs import VmImportCreate
from app.sources.provider_vm import provider_id_in


class ChosenHost(Shape):
    """The proxy host that would be used now, and why that one."""

    id: UUID
    reason: str


class ChosenDomain(Shape):
    id: UUID
    free_bytes: int | None


class RequiredBytes(Shape):
    """Bytes needed in the proxy host's work directory and on the storage domain."""

    work: int
    target: int


class ImportCheck(Shape):
    """What would become of an import; `problems` says why it is not `importable`."""

    importable: bool
    problems: tuple[Problem, ...] = ()
    concerns: tuple[Concern, ...] = ()
    proxy_host: ChosenHost | None = None
    storage_domain: ChosenDomain | None = None
    command: tuple[str, ...] | None = None
    required_bytes: RequiredBytes | None = None


@dataclass(frozen=True)
class _Place:
    """Where the import would run, and the bytes that others hold there."""

    choice: Choice
    others_work: int
    others_target: int


@dataclass
class _Check:
    """What is found out on the way."""

    data_center_id: UUID
    provider: SourceProvider | None = None
    place: _Place | None = None
    found: Examination | None = None
    command: tuple[str, ...] | None = None
    problems: list[AppError] = field(default_factory=list)


async def check_import(asking: Providers, spec: VmImportCreate) -> ImportCheck:
    """Raises what a request to import would raise at once, and HostError when a host can't be asked now."""
    async with asking.database.reading() as session:
        check = _Check(await references.check(session, spec))
        spec = await references.bound(session, spec)
    try:
        check.provider = await asking.source(provider_id_in(spec.source))
        await _examine(asking, spec, check)
        await _judge(asking.database, spec, check)
    except HostError:
        raise
    except AppError as error:
        check.problems.append(error)
    return _public(check)


async def _examine(asking: Providers, spec: VmImportCreate, check: _Check) -> None:
    """Find the proxy host that holds the source, as the job would: those that don't are left out."""
    excluded: list[UUID] = []
    missing: AppError | None = None
    while check.found is None:
        try:
            check.place = await _choose(asking.database, spec, check.data_center_id, excluded)
        except ImportFailureError as error:
            raise missing or error from None
        choice = check.place.choice
        agent = await asking.proxies.agent(proxy_hosts.host_address(choice.host, asking.sealer))
        try:
            check.found = await examine(spec, choice.host, choice.domain, agent, check.provider)
        except (SourceNotFoundError, SourceNotAllowedError) as error:
            if spec.proxy_host_id is not None:
                raise
            missing = error
            excluded.append(choice.host.id)


async def _choose(
    database: Database, spec: VmImportCreate, data_center_id: UUID, excluded: list[UUID]
) -> _Place:
    need = need_of(spec, data_center_id, excluded)
    async with database.reading() as session:
        load = await current_load(session)
        choice = await choose(session, need, load)
        if isinstance(choice, Wait):
            # A full host can be looked at all the same; one that doesn't answer can't.
            waits, choice = choice, await choose(session, need, Load())
            if isinstance(choice, Wait):
                raise NoProxyHostError(choice.reason)
            choice = replace(choice, reason=f"it would wait now: {waits.reason}")
    return _Place(choice, load.bytes[choice.host.id], load.bytes[choice.domain.id])


async def _judge(database: Database, spec: VmImportCreate, check: _Check) -> None:
    place, found = check.place, check.found
    if place is None or found is None:
        return
    check.problems += refusals(found, spec, others_work=place.others_work, others_target=place.others_target)
    try:
        async with database.reading() as session:
            await vm_names.check_free(session, check.data_center_id, found.config.name)
    except (InvalidNameError, NameInUseError) as error:
        check.problems.append(error)
    access = check.provider.access if check.provider is not None else None
    check.command = _command(found.spec, place.choice, found, access)


def _command(
    spec: VmImportCreate, choice: Choice, found: Examination, access: ProviderAccess | None
) -> tuple[str, ...]:
    """The command line with secrets masked; its ids are examples."""
    attempt_id = new_id()
    target = new_target(
        spec,
        found.config,
        import_id=new_id(),
        attempt_id=attempt_id,
        attempt_number=1,
        turn=1,
        attempt_dir=f"{choice.host.work_dir}/attempts/{attempt_id}",
    )
    return command_line(spec, choice.host, choice.domain, found.source, target, access=access).masked


def _public(check: _Check) -> ImportCheck:
    place, found = check.place, check.found
    return ImportCheck(
        importable=not check.problems,
        problems=tuple(problem.to_problem() for problem in check.problems),
        concerns=found.concerns if found else (),
        proxy_host=ChosenHost(id=place.choice.host.id, reason=place.choice.reason) if place else None,
        storage_domain=(
            ChosenDomain(id=place.choice.domain.id, free_bytes=found.domain.free_bytes)
            if place and found
            else None
        ),
        command=check.command,
        required_bytes=(RequiredBytes(work=found.work_bytes, target=found.target_bytes) if found else None),
    )
