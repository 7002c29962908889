"""What the jobs' tests share."""

from app import logs
from tests.support.engine import engine

logs.configure(log_format="json", level="error")

__all__ = ["engine"]
