"""`v2v-import up`: everything on one machine, in one process tree."""

from app.up.run import run_up

__all__ = ["run_up"]
