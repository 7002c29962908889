"""Follows what runs on the proxy hosts: one watcher a host, held by one worker."""

import asyncio
import contextlib
import time
from uuid import UUID

from app import logs
from app.errors import AppError, FencedError, HostConnectionLostError, HostError, NotFoundError
from app.jobs import facts
from app.jobs.context import Context
from app.jobs.hearing import STALLED_CODE, Hearing, Limits, Pending
from app.models.imports import ConversionWarning, VmImport
from app.proxy.watching import Activity, Beat, Following, JobEnded, LogBytes
from app.services import following
from app.services.following import ProgressSave

POLL_SECONDS = 0.3
"""How soon a followed attempt is found that another worker began."""
TICK_SECONDS = 0.1
"""The least time between two publications of one import's progress."""
SAVE_SECONDS = 0.25
"""The least time between two saves of one attempt's lines."""
IDLE_SECONDS = 5.0
"""How long a host without anything to follow stays connected."""
BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 15.0
UNHEARD_SECONDS = 10.0
"""How soon an attempt is tried again whose log can't be followed: with another key file it could."""
MOST_PENDING_BYTES = 8 * 2**20
"""No more is read from a host while so much of it is not saved."""

log = logs.get("watch")


class Watchers:
    """The watchers of this worker's hosts: takes hosts, and leaves them when there is nothing to follow."""

    def __init__(self, context: Context, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._context, self._idle_seconds = context, idle_seconds
        self._hosts: dict[UUID, HostWatcher] = {}

    async def run(self) -> None:
        """Until it is cancelled; every watcher ends with it."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._look(group)
                except Exception:  # a database that is away for a while ends no watcher
                    log.exception("watch.look_failed")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._context.launched.wait()
                self._context.launched.clear()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        found = await self._held()
        for host_id in set(self._hosts) - set(found):
            self._hosts.pop(host_id).cancel()
        for host_id, attempt_ids in found.items():
            watcher = self._hosts.get(host_id)
            if watcher is None or watcher.is_done():
                watcher = self._hosts[host_id] = HostWatcher(self._context, host_id)
                watcher.start(group)
            watcher.wanted = frozenset(attempt_ids)
            if watcher.idle_for_seconds() > self._idle_seconds:
                await self._leave(host_id)

    async def _held(self) -> dict[UUID, list[UUID]]:
        database, worker_id = self._context.database, self._context.worker_id
        async with database.reading() as session:
            unwatched = await following.unwatched_hosts(session)
        if unwatched:
            async with database.session() as session:
                await following.take_hosts(session, unwatched, worker_id)
        async with database.reading() as session:
            return await following.followed_by(session, worker_id)

    async def _leave(self, host_id: UUID) -> None:
        async with self._context.database.session() as session:
            await following.leave_host(session, host_id, self._context.worker_id)
        self._hosts.pop(host_id).cancel()


class HostWatcher:
    """Follows one host's attempts over one channel, and connects again when that is lost."""

    def __init__(self, context: Context, host_id: UUID) -> None:
        self.wanted: frozenset[UUID] = frozenset()
        self._context, self._host_id = context, host_id
        self._hearings: dict[UUID, Hearing] = {}
        self._unheard: dict[UUID, float] = {}
        self._news, self._saved = asyncio.Event(), asyncio.Event()
        self._busy_at = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        self._task = group.create_task(self._run(), name=f"watch {self._host_id}")

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def is_done(self) -> bool:
        return self._task is None or self._task.done()

    def idle_for_seconds(self) -> float:
        """How long there has been nothing to follow."""
        if self.wanted or self._hearings:
            self._busy_at = time.monotonic()
        return time.monotonic() - self._busy_at

    async def _run(self) -> None:
        backoff = BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            try:
                await self._connect()
            except (HostError, NotFoundError) as error:
                log.warning("watch.lost", host_id=str(self._host_id), code=error.code, error=error.detail)
            except Exception:  # the top of a watcher: whatever it is, the host is followed again
                log.exception("watch.failed", host_id=str(self._host_id))
                self._hearings.clear()
            if time.monotonic() - began > LONGEST_BACKOFF_SECONDS:
                backoff = BACKOFF_SECONDS
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF_SECONDS)

    async def _connect(self) -> None:
        agent = await self._context.agent(self._host_id)
        try:
            async with Following(agent) as channel, asyncio.TaskGroup() as group:
                group.create_task(self._hear(channel))
                group.create_task(self._publish_all())
                await self._follow(channel)
        except* HostError as errors:
            raise _first(errors) from errors

    # --- the channel ---

    async def _follow(self, channel: Following) -> None:
        """Follow what is wanted and not followed yet; save what was heard."""
        followed: set[UUID] = set()
        for hearing in self._hearings.values():
            hearing.reconnected(time.monotonic())
        progress_at = time.monotonic()
        while True:
            for attempt_id in followed - self.wanted:
                await channel.unfollow(attempt_id)
                self._hearings.pop(attempt_id, None)
            followed &= self.wanted
            for attempt_id in self.wanted - followed:
                if (begun := await self._hearing(attempt_id)) is not None:
                    await channel.follow(attempt_id, begun.received)
                    followed.add(attempt_id)
            for hearing in list(self._hearings.values()):
                if not await self._save(hearing):
                    followed.discard(hearing.attempt_id)
            if time.monotonic() - progress_at >= self._context.settings.progress_save_seconds:
                progress_at = time.monotonic()
                await self._save_progress()
            self._saved.set()
            await asyncio.sleep(SAVE_SECONDS)

    async def _hearing(self, attempt_id: UUID) -> Hearing | None:
        if attempt_id in self._hearings:
            return self._hearings[attempt_id]
        async with self._context.database.reading() as session:
            rows = await following.load(session, attempt_id)
        if rows is None or self._unheard.get(attempt_id, 0) > time.monotonic():
            return None
        row, attempt = rows
        try:
            secrets = await self._context.secrets(row)
        except AppError as error:
            # What can't be masked isn't read. The others of this host are followed all the same.
            log.warning("watch.unheard", attempt_id=str(attempt_id), code=error.code)
            self._unheard[attempt_id] = time.monotonic() + UNHEARD_SECONDS
            return None
        hearing = Hearing(row, attempt, secrets, time.monotonic(), self._limits(row))
        return self._hearings.setdefault(attempt_id, hearing)

    def _limits(self, row: VmImport) -> Limits:
        settings, wanted = self._context.settings, row.spec.get("conversion", {})
        return Limits(
            settings.stall_after_seconds,
            wanted.get("stall_limit_seconds") or settings.stall_limit_seconds,
            wanted.get("time_limit_seconds"),
        )

    async def _hear(self, channel: Following) -> None:
        async for frame in channel.frames():
            at_seconds = time.monotonic()
            hearing = None if isinstance(frame, Beat) else self._hearings.get(frame.attempt_id)
            if hearing is None:
                continue
            if isinstance(frame, LogBytes):
                if frame.offset > hearing.received:
                    raise HostConnectionLostError("A piece of a log was lost on the way.")
                hearing.read(frame.offset, frame.data, at_seconds)
            elif isinstance(frame, Activity):
                hearing.is_active(frame.io_bytes, at_seconds)
            elif isinstance(frame, JobEnded):
                hearing.end(at_seconds)
            self._news.set()
            while len(hearing.pending.kept) > MOST_PENDING_BYTES:
                self._saved.clear()
                await self._saved.wait()
        raise HostConnectionLostError("The host agent ended.")

    # --- what goes out ---

    async def _publish_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            for hearing in list(self._hearings.values()):
                if not hearing.is_published:
                    await self._context.events.publish_progress(
                        hearing.progress_event(), labels=hearing.labels
                    )
            await asyncio.sleep(TICK_SECONDS)

    async def _save(self, hearing: Hearing) -> bool:
        """Save what was heard, tell it, and call for a turn at the end. False: it is followed no more."""
        await self._see_stall(hearing)
        await self._see_limits(hearing)
        if hearing.pending.is_empty() and not hearing.has_ended:
            return True
        # Taken together: what is saved of the progress must not be ahead of what is saved of the log.
        has_ended, cut, progress = hearing.has_ended, hearing.cut(), hearing.progress_save()
        try:
            is_news = await self._commit(hearing, cut, progress, has_ended=has_ended)
        except BaseException as error:
            # Whether it was saved is unknown: what the database has is read anew, and the log from there on.
            self._hearings.pop(hearing.attempt_id, None)
            if isinstance(error, FencedError):
                return False
            raise
        await self._tell(hearing, cut, is_news=is_news)
        if has_ended:
            self._hearings.pop(hearing.attempt_id, None)
            await self._context.queue.wake(hearing.import_id)
        return not has_ended

    async def _commit(
        self, hearing: Hearing, cut: Pending, progress: ProgressSave, *, has_ended: bool
    ) -> bool:
        ids = hearing.import_id, hearing.attempt_id
        cap = self._context.settings.log_cap_bytes
        async with self._context.database.session() as session:
            is_news = await following.save_lines(session, *ids, cut.heard(), log_cap_bytes=cap)
            await following.save_progress(session, [progress])
            if has_ended:
                await following.end(session, *ids)
        return is_news

    async def _tell(self, hearing: Hearing, cut: Pending, *, is_news: bool) -> None:
        events = self._context.events
        if hearing.has_ended or not hearing.is_published:
            await events.publish_progress(hearing.progress_event(), labels=hearing.labels)
        if is_news:
            await self._context.announce(hearing.import_id)
        for mark, message in hearing.messages(cut):
            await events.publish_message(message, offset=mark, labels=hearing.labels)

    async def _save_progress(self) -> None:
        """One statement for all that moved."""
        moved = [hearing for hearing in self._hearings.values() if hearing.wants_saving()]
        progress = [hearing.progress_save() for hearing in moved]
        looks = [hearing.stillness_save() for hearing in self._hearings.values()]
        stillness = [look for look in looks if look is not None]
        if progress or stillness:
            async with self._context.database.session() as session:
                await following.save_progress(session, progress)
                await following.save_stillness(session, stillness)

    async def _see_stall(self, hearing: Hearing) -> None:
        if not hearing.has_stalled():
            return
        limit = self._context.settings.stall_after_seconds
        text = f"virt-v2v has written nothing and moved no data for {limit:g} s."
        warning = ConversionWarning(code=STALLED_CODE, message=text)
        with contextlib.suppress(FencedError):
            async with self._context.database.session() as session:
                await following.warn(session, hearing.import_id, hearing.attempt_id, warning)
        await self._context.announce(hearing.import_id)
        mark, message = hearing.stalled_message(text)
        await self._context.events.publish_message(message, offset=mark, labels=hearing.labels)
        self._news.set()

    async def _see_limits(self, hearing: Hearing) -> None:
        """Call for a turn that ends what goes beyond its limits. It looks itself whether virt-v2v runs."""
        if (beyond := hearing.goes_beyond(time.monotonic())) is None:
            return
        ids = hearing.import_id, hearing.attempt_id
        with contextlib.suppress(FencedError):
            async with self._context.database.session() as session:
                await following.learn(session, *ids, **{facts.EXCEEDED: facts.plain(beyond)})
        await self._context.queue.wake(hearing.import_id)


def _first(errors: BaseExceptionGroup[HostError]) -> HostError:
    """The first of the errors that a group of tasks ended with."""
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
