"""Step 5 once more: the VM's configuration, read just before anything is made (days may have passed)."""

from app.actions.examine import Examination, examine, refusals
from app.errors import ImportFailureError, SourceNotAllowedError, SourceNotFoundError
from app.jobs import facts
from app.jobs.step import Again, MovedError, Turn
from app.models.state import StepName
from app.services import admission, attempts, imports, proxy_hosts, storage_domains, timeline, vm_names


class ReadConfig:
    name = StepName.READ_CONFIG

    async def do(self, turn: Turn) -> Again | None:
        """All checks. Raises the first refusal; MovedError when another proxy host may hold the source."""
        found = await _examine(turn)
        async with turn.context.database.session() as session:
            others_work, others_target = await admission.reserve_bytes(
                session, turn.attempt_id, work_bytes=found.work_bytes, target_bytes=found.target_bytes
            )
        for refused in refusals(found, turn.spec, others_work=others_work, others_target=others_target):
            raise refused
        async with turn.saving() as saved:
            await vm_names.reserve(saved.session, turn.data_center_id, found.config.name, turn.import_id)
            attempts.learn(
                saved.attempt,
                **{facts.SOURCE: facts.plain(found.source), facts.CONFIG: facts.plain(found.config)},
            )
            timeline.note(
                saved.session,
                saved.row,
                "config_read",
                name=found.config.name,
                concerns=[concern.code for concern in found.concerns],
            )
            imports.changed(saved.row)
        return None

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        """The name is given back when the import ends."""


async def _examine(turn: Turn) -> Examination:
    agent = await turn.agent()
    async with turn.context.database.reading() as session:
        host = await proxy_hosts.get(session, agent.proxy.address.id)
        domain = await storage_domains.get(session, _domain_id(turn))
    try:
        return await examine(turn.spec, host, domain, agent)
    except (SourceNotFoundError, SourceNotAllowedError) as error:
        if turn.spec.proxy_host_id is not None:
            raise
        raise MovedError(error.detail) from error


def _domain_id(turn: Turn):  # noqa: ANN202
    if turn.domain_id is None:
        raise ImportFailureError("The import has no storage domain.")
    return turn.domain_id
