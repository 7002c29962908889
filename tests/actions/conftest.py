"""What the actions' tests share."""

from tests.support.engine import engine

__all__ = ["engine"]
