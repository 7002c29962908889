"""What a proxy host mounts to read a source, and where it lies then."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Mount(BaseModel):
    """`source` is `server:/export` or a block device; it is mounted for those who use it, and only they see
    it. The directory is the same for all.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["nfs", "device"]
    source: str
    version: str | None = None
    """Of the NFS protocol; none = what both sides can do."""

    @property
    def name(self) -> str:
        return hashlib.sha256(f"{self.kind} {self.source}".encode()).hexdigest()[:16]

    def directory(self, work_dir: str) -> str:
        return f"{work_dir}/mnt/{self.name}"

    def order(self) -> dict[str, str | None]:
        """What the host's agent has to mount (`Mount` in app/proxy/agent/mounts.py)."""
        return {"kind": self.kind, "source": self.source, "name": self.name, "version": self.version}
