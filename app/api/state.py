"""What every request may use, built once by the application's lifespan."""

from dataclasses import dataclass

from app.actions.providers import Providers
from app.actions.read_inventory import Inventories
from app.api.schema_guard import SchemaGuard
from app.db import Database
from app.events import Events
from app.events.hub import EventsHub
from app.proxy.pool import ProxyPool
from app.queue import Queue
from app.secrets import Sealer
from app.settings import Settings


@dataclass(frozen=True)
class AppState:
    settings: Settings
    database: Database
    schema: SchemaGuard
    sealer: Sealer
    queue: Queue
    events: Events
    hub: EventsHub
    proxies: ProxyPool
    providers: Providers
    inventories: Inventories
