"""Events for clients: published to Redis by whoever changes an import, told by one hub a process."""

from app.events.publisher import Events

__all__ = ["Events"]
