"""All tables, each watched for rows that can't be read. Who works with the database imports this."""

from sqlmodel import SQLModel

from app.models.attempts import Artifact, Attempt, LogChunk, Reservation, TimelineEntry
from app.models.damage import watch
from app.models.data_centers import DataCenter
from app.models.idempotency import IdempotencyRecord
from app.models.imports import ImportLabel, VmImport
from app.models.installation import Installation
from app.models.providers import Provider, ProviderVm
from app.models.proxy_hosts import ProxyHost
from app.models.scans import Scan
from app.models.storage_domains import StorageDomain
from app.models.tokens import ApiToken, StreamTicket
from app.models.uploads import Upload
from app.models.vms import Disk, Vm, VmName
from app.models.workers import Worker

TABLES: tuple[type[SQLModel], ...] = (
    ApiToken,
    StreamTicket,
    DataCenter,
    StorageDomain,
    ProxyHost,
    VmImport,
    ImportLabel,
    Attempt,
    Artifact,
    Reservation,
    LogChunk,
    TimelineEntry,
    Vm,
    VmName,
    Disk,
    Worker,
    IdempotencyRecord,
    Installation,
    Upload,
    Provider,
    ProviderVm,
    Scan,
)

for table in TABLES:
    watch(table)
