"""Looks again and again whether more imports run somewhere than may, however many workers there are."""

import asyncio
from collections import Counter
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from app.db import Database
from app.models.attempts import Reservation

BETWEEN_SECONDS = 0.2


class LimitWatch:
    """`limits` are the most imports at once of proxy hosts, storage domains and providers, by their ids.

    What runs has a place: a process or directory of an attempt without one is told as left behind.
    """

    def __init__(self, rows: Database, limits: dict[UUID, int]) -> None:
        self._rows, self._limits = rows, limits
        self.most: Counter[UUID] = Counter()
        """The most that were seen."""

    async def run(self) -> None:
        """Until it is cancelled; a database that is away can be looked at again later."""
        while True:
            try:
                for place, count in (await self._held()).items():
                    self.most[place] = max(self.most[place], count)
            except (SQLAlchemyError, OSError):
                pass
            await asyncio.sleep(BETWEEN_SECONDS)

    async def _held(self) -> Counter[UUID]:
        places = (
            col(Reservation.proxy_host_id),
            col(Reservation.storage_domain_id),
            col(Reservation.provider_id),
        )
        async with self._rows.reading() as session:
            found = (await session.execute(select(*places))).all()
        return Counter(place for row in found for place in row if place is not None)

    def faults(self) -> list[str]:
        """Where there were too many, as sentences."""
        return [
            f"{count} imports at once, where {self._limits[place]} may be: {place}"
            for place, count in self.most.items()
            if place in self._limits and count > self._limits[place]
        ]

    @property
    def reached(self) -> int:
        """How many of the limits held something back, as far as can be seen."""
        return sum(self.most[place] >= limit for place, limit in self._limits.items())

    @property
    def count(self) -> int:
        return len(self._limits)
