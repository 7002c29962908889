"""For how long virt-v2v has surely neither written nor moved data."""


class Stillness:
    """Counts only time that was seen: what nobody watched may have been busy.

    Times are the watcher's monotonic clock. What was saved goes in again with another watcher, which counts
    on if the I/O counter still stands where it stood.
    """

    def __init__(self, at_seconds: float, *, still_seconds: float, io_bytes: int | None) -> None:
        self.io_bytes = io_bytes
        self._seen_at = at_seconds
        self._moved_at = at_seconds - still_seconds

    @property
    def seconds(self) -> float:
        """Up to the last look."""
        return self._seen_at - self._moved_at

    def moved(self, at_seconds: float) -> None:
        self._moved_at = self._seen_at = at_seconds

    def saw(self, io_bytes: int, at_seconds: float) -> bool:
        """A look at the I/O counter. True when it has moved."""
        if io_bytes == self.io_bytes:
            self._seen_at = at_seconds
            return False
        self.io_bytes = io_bytes
        self.moved(at_seconds)
        return True

    def pass_over(self, at_seconds: float) -> None:
        """Nothing could be seen since the last look: that time doesn't count."""
        self._moved_at += at_seconds - self._seen_at
        self._seen_at = at_seconds
