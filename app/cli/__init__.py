"""The command `v2v-import`: starts the service's programs and speaks to its HTTP API."""

from app.cli.root import main

__all__ = ["main"]
