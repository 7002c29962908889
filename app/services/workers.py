"""Workers' rows: who is alive, and what a dead one held."""

import os
import socket
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.models.columns import now
from app.models.imports import VmImport
from app.models.proxy_hosts import ProxyHost
from app.models.scans import Scan
from app.models.workers import Worker


async def register(session: AsyncSession) -> Worker:
    """A row for this process."""
    worker = Worker(host_name=socket.gethostname(), process_id=os.getpid())
    session.add(worker)
    await session.flush()
    return worker


async def beat(session: AsyncSession, worker_id: UUID) -> bool:
    """Say that the worker lives. False: others took it for dead, and it holds nothing any more."""
    statement = update(Worker).where(col(Worker.id) == worker_id).values(beat=Worker.beat + 1)
    return (await session.execute(statement.returning(col(Worker.id)))).first() is not None


async def beats(session: AsyncSession) -> dict[UUID, int]:
    """Every worker's beat, in the order in which they started."""
    found = await session.execute(select(Worker).order_by(col(Worker.id)))
    return {worker.id: worker.beat for worker in found.scalars()}


async def count(session: AsyncSession) -> int:
    return (await session.execute(select(func.count()).select_from(Worker))).scalar_one()


async def remove(session: AsyncSession, worker_id: UUID) -> int:
    """The worker is gone: free its turns and watchers, and call its imports. Answers how many turns."""
    await session.execute(delete(Worker).where(col(Worker.id) == worker_id))
    await session.execute(
        update(ProxyHost).where(col(ProxyHost.watcher_worker_id) == worker_id).values(watcher_worker_id=None)
    )
    await session.execute(update(Scan).where(col(Scan.worker_id) == worker_id).values(worker_id=None))
    freed = update(VmImport).where(col(VmImport.worker_id) == worker_id).values(worker_id=None, wake_at=now())
    return len((await session.execute(freed.returning(col(VmImport.id)))).all())


async def gone(session: AsyncSession, *, host_name: str, process_id: int) -> int:
    """A supervisor saw the process exit: the same as `remove`, at once."""
    found = await session.execute(
        select(col(Worker.id)).where(col(Worker.host_name) == host_name, col(Worker.process_id) == process_id)
    )
    return sum([await remove(session, worker_id) for worker_id in found.scalars().all()])
