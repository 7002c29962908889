"""Every setting of the service; each is also an environment variable `V2V_IMPORT_…`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once, at the top (main, worker, cli), and passed down."""

    model_config = SettingsConfigDict(env_prefix="V2V_IMPORT_", frozen=True, extra="ignore")

    data_dir: Path = Path("v2v-import-data")
    """Where `up` keeps its database, Redis, key file and admin token."""
    database_url: str | None = None
    """SQLAlchemy URL (`postgresql+asyncpg://…`, `sqlite+aiosqlite:///…`); none = SQLite in `data_dir`."""
    redis_url: str | None = None
    """`redis://…`, `rediss://…` or `unix://…`; none = the private Redis that `up` starts."""
    key_file: Path | None = None
    """The file with the key that seals secrets; none = `data_dir`/secret-key, made at the first start."""
    host: str = "127.0.0.1"
    """The address that the API listens on."""
    port: int = Field(default=8400, ge=0, le=65535)
    """The port that the API listens on; 0 = any free one."""

    worker_turns: int = Field(default=20, ge=1)
    """Turns that one worker runs at the same time."""
    turn_timeout_seconds: float = Field(default=300, gt=0)
    """A turn that takes longer is ended; the next one goes on where it stopped."""
    beat_seconds: float = Field(default=2, gt=0)
    """How often a worker shows that it lives."""
    worker_dead_after_seconds: float = Field(default=8, gt=0)
    """A worker whose beat has not moved for so long is dead; others take over what it did."""
    sweep_seconds: float = Field(default=1, gt=0)
    """How often a worker looks for what stands still."""
    host_check_seconds: float = Field(default=30, gt=0)
    """How often an enabled proxy host is probed again."""
    host_retry_seconds: float = Field(default=5, gt=0)
    """How often a proxy host that doesn't answer is probed; turns that wait for it try after a quarter of it
    at first, after three times as long at last."""
    host_unreachable_limit_seconds: float = Field(default=3600, gt=0)
    """How long a running import waits for a proxy host that doesn't answer before it fails."""
    automatic_retries: int = Field(default=2, ge=0)
    """How many more attempts an import makes by itself after failures that can go away by themselves."""
    automatic_retry_seconds: float = Field(default=10, gt=0)
    """How soon the first of them begins; each one after it waits twice as long, but not above 5 minutes."""
    stall_after_seconds: float = Field(default=600, gt=0)
    """No output and no I/O by virt-v2v for so long makes a `stalled` warning."""
    stall_limit_seconds: float | None = Field(default=None, gt=0)
    """No output and no I/O by virt-v2v for so long fails the import; none = never, unless the import says."""
    progress_save_seconds: float = Field(default=3, gt=0)
    """How often progress is saved to the database; events come at once."""
    stop_grace_seconds: float = Field(default=10, gt=0)
    """How long virt-v2v may take to end on SIGTERM before SIGKILL."""

    log_cap_bytes: int = Field(default=16 * 2**20, ge=2**16)
    """How much of one attempt's log is kept (its head and its tail)."""
    body_limit_bytes: int = Field(default=2**20, ge=1024)
    """The largest request body."""
    upload_limit_bytes: int = Field(default=2**43, ge=1)
    """The largest upload."""
    upload_lifetime_seconds: int = Field(default=24 * 3600, ge=1)
    """How long an upload is kept after the last byte that came for it."""
    allow_local_providers: bool = False
    """Whether providers may be libvirt's on the service's own machine (`qemu:///system`, `test:///…`)."""
    provider_seconds: float = Field(default=60, gt=0)
    """How long a provider may take to answer a question."""
    provider_listing_seconds: float = Field(default=600, gt=0)
    """How long it may take to list all of its VMs."""
    provider_questions: int = Field(default=4, ge=1)
    """How many providers one process asks at the same time."""
    worker_scans: int = Field(default=4, ge=1)
    """Scans that one worker runs at the same time."""
    scan_limit_seconds: float = Field(default=1800, gt=0)
    """A scan that takes longer fails."""
    scan_lifetime_seconds: int = Field(default=24 * 3600, ge=1)
    """How long a scan is kept after it has ended."""
    event_buffer: int = Field(default=10_000, ge=10)
    """Events that the live stream in Redis holds."""
    ping_seconds: float = Field(default=15, gt=0)
    """How often a silent event stream sends a comment."""
    ticket_lifetime_seconds: int = Field(default=12 * 3600, ge=1)
    """How long a stream ticket is good."""
    idempotency_lifetime_seconds: int = Field(default=24 * 3600, ge=1)
    """How long the answer to an idempotency key is kept."""

    log_format: str = Field(default="console", pattern="^(console|json)$")
    """`console` for people, `json` for machines."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """`debug`, `info`, `warning` or `error`."""

    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir.resolve() / 'v2v-import.sqlite3'}"

    def resolved_redis_url(self) -> str:
        return self.redis_url or f"unix://{self.data_dir.resolve() / 'redis' / 'redis.sock'}"

    def resolved_key_file(self) -> Path:
        return self.key_file or self.data_dir.resolve() / "secret-key"
