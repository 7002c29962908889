"""Step 8: virt-v2v or a plain copy, started once and detached on the proxy host; a watcher follows it."""

import asyncio
import json

from app.actions.command_line import command_line
from app.errors import ConversionLostError, HostCommandError
from app.jobs import facts
from app.jobs.place import records, target_now
from app.jobs.step import Again, Turn
from app.jobs.steps import prepare_host
from app.models.columns import now
from app.models.state import StepName
from app.providers.base import ProviderAccess
from app.proxy.agent_client import HostAgent, JobState, JobStatus
from app.services import attempts, following, imports, timeline
from app.sources.provider_vm import provider_id_in
from app.v2v.command import Command
from app.v2v.copying import ORDER_NAME
from app.v2v.failures import explain

RECHECK_SECONDS = 60.0
"""A running virt-v2v is looked at so often even when no watcher calls."""
READ_SECONDS = 1.0
"""How soon to look again whether the watcher has read the log to its end."""
LAST_WORDS_POLLS = 20


class ConvertDisks:
    name = StepName.CONVERT_DISKS

    async def do(self, turn: Turn) -> Again | None:
        """Raises ConversionFailedError subclasses with virt-v2v's own words; StalledError, TimeLimitError."""
        agent = await turn.agent()
        if facts.LAUNCHED not in turn.facts:
            await _launch(turn, agent)
            return Again(RECHECK_SECONDS)
        status = await agent.status(turn.attempt_id)
        if status.state is JobState.CREATED:
            await _launch(turn, agent)
            return Again(RECHECK_SECONDS)
        if status.state is not JobState.RUNNING:
            return await _judge(turn, status)
        if (exceeded := facts.exceeded(turn)) is not None:
            raise exceeded
        return Again(RECHECK_SECONDS)

    async def undo(self, turn: Turn, *, keep: bool) -> None:  # noqa: ARG002
        async with turn.context.database.reading() as session:
            if await attempts.artifact(session, turn.attempt_id, prepare_host.ARTIFACT) is None:
                return
        agent = await turn.agent()
        grace = turn.context.settings.stop_grace_seconds
        status = await agent.stop(turn.attempt_id, turn.turn, grace_seconds=grace)
        if status.state is JobState.RUNNING:
            raise HostCommandError("Something of virt-v2v survived SIGKILL on the proxy host.")
        await _hear_last_words(turn)
        async with turn.saving() as saved:
            saved.attempt.followed = False
            attempts.learn(saved.attempt, **{facts.OVER: True})


async def _launch(turn: Turn, agent: HostAgent) -> None:
    host, domain = await records(turn)
    source, target = facts.source(turn), target_now(turn)
    command = command_line(facts.spec(turn), host, domain, source, target, access=await _access(turn))
    await _write_files(turn, agent, command)
    async with turn.saving() as saved:
        if facts.LAUNCHED not in saved.attempt.facts:
            following.begin(saved.row, saved.attempt, target, facts.config(turn))
            timeline.note(saved.session, saved.row, f"{_program(turn)}_started", command=list(command.masked))
            is_readable = any(argument.startswith("--machine-readable") for argument in command.argv)
            launched = {facts.MACHINE_READABLE: is_readable, facts.AT: now().isoformat()}
            attempts.learn(saved.attempt, **{facts.LAUNCHED: launched})
            imports.changed(saved.row)
    await agent.launch(
        turn.attempt_id,
        turn.turn,
        agent.own(*command.argv) if command.copying else command.argv,
        environment={**command.environment, **host.environment},
        secret_files=[file.name for file in command.files if file.secret],
        preparation=command.preparation and {**command.preparation, "roots": facts.roots(turn)},
        mounts=facts.mounts(turn),
    )
    turn.context.launched.set()


async def _access(turn: Turn) -> ProviderAccess | None:
    """To the provider that the source names, if it names one."""
    provider_id = provider_id_in(facts.spec(turn).source)
    return None if provider_id is None else await turn.context.providers.access(provider_id)


def _program(turn: Turn) -> str:
    """What runs, for the timeline."""
    return "copy" if turn.spec.conversion.is_copy else "virt_v2v"


async def _write_files(turn: Turn, agent: HostAgent, command: Command) -> None:
    for file in command.files:
        await agent.write(turn.attempt_id, turn.turn, file.name, file.data, mode=file.mode)
    if command.copying is not None:
        order = json.dumps({**command.copying, "roots": facts.roots(turn)}).encode()
        await agent.write(turn.attempt_id, turn.turn, ORDER_NAME, order)


async def _judge(turn: Turn, status: JobStatus) -> Again | None:
    """virt-v2v has ended. Its log is read to the end before anything is said about it."""
    async with turn.saving() as saved:
        if saved.attempt.followed:
            return Again(READ_SECONDS)
        errors = saved.attempt.errors
        attempts.learn(saved.attempt, **{facts.OVER: True})
        kind = f"{_program(turn)}_ended"
        timeline.note(saved.session, saved.row, kind, state=status.state, exit_code=status.exit_code)
    if status.state is JobState.EXITED and status.exit_code is None:
        raise ConversionLostError("virt-v2v has ended, but the note of its exit code can't be read.")
    if status.state is not JobState.EXITED or status.exit_code is None:
        raise ConversionLostError
    if status.exit_code == 0:
        return None
    raise explain(errors, status.exit_code)


async def _hear_last_words(turn: Turn) -> None:
    """Give the watcher a moment to read what virt-v2v said when it was ended; go on without it."""
    for _ in range(LAST_WORDS_POLLS):
        async with turn.context.database.reading() as session:
            if not await following.is_followed(session, turn.attempt_id):
                return
        await asyncio.sleep(0.1)
