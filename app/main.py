"""The HTTP application: settings in, an ASGI app out; and the process that serves it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from uuid import UUID

from fastapi import FastAPI

from app import logs
from app.actions.ask_child import Children
from app.actions.providers import Providers
from app.actions.read_inventory import Inventories
from app.api import (
    data_centers,
    disks,
    docs_page,
    event_streams,
    health,
    imports,
    kinds,
    middleware,
    openapi,
    orphans,
    problems,
    proxy_hosts,
    scans,
    storage_domains,
    stream_tickets,
    tokens,
    tus,
    uploads,
    vms,
)
from app.api import (
    providers as providers_api,
)
from app.api.schema_guard import SchemaGuard
from app.api.server import make_server
from app.api.state import AppState
from app.db import Database
from app.events import Events
from app.events.hub import EventsHub
from app.proxy.pool import ProxyPool
from app.queue import Queue
from app.secrets import Sealer
from app.services import installation, tickets
from app.settings import Settings

ROUTERS = (
    data_centers.router,
    storage_domains.router,
    proxy_hosts.router,
    providers_api.router,
    scans.router,
    imports.router,
    uploads.router,
    event_streams.router,
    stream_tickets.router,
    vms.router,
    disks.router,
    orphans.router,
    tokens.router,
    kinds.router,
    health.router,
)


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(settings: Settings) -> FastAPI:
    """The application; its lifespan opens the database and Redis, and closes them."""
    app = FastAPI(
        title="v2v-import-service",
        version=version("v2v-import-service"),
        lifespan=_lifespan(settings),
        openapi_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    openapi.install(app)
    docs_page.install(app)
    app.add_middleware(middleware.BodyLimit, limit_bytes=settings.body_limit_bytes)
    app.add_middleware(tus.TusHeaders)
    app.add_middleware(middleware.AccessLog)
    return app


def _lifespan(settings: Settings) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = _state(settings)
        app.state.service = state
        await state.queue.connect()
        await state.hub.start()
        await state.schema.look()
        looking = asyncio.create_task(state.schema.keep_looking())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})
            await state.hub.close()
            await state.inventories.close()
            await state.proxies.close()
            await state.events.close()
            await state.queue.close()
            await state.database.close()

    return lifespan


def _state(settings: Settings) -> AppState:
    redis_url = settings.resolved_redis_url()
    database = Database(settings.resolved_database_url())

    async def ended_tokens(token_ids: set[UUID]) -> set[UUID]:
        async with database.reading() as session:
            return await tickets.ended_tokens(session, token_ids)

    sealer = Sealer.from_file(settings.resolved_key_file())
    proxies = ProxyPool(partial(installation.read_id, database))
    children = Children(at_once=settings.provider_questions)
    providers = Providers(database, sealer, proxies, children, settings)
    return AppState(
        settings=settings,
        database=database,
        schema=SchemaGuard(database),
        sealer=sealer,
        queue=Queue(redis_url),
        events=Events(redis_url, live_events=settings.event_buffer),
        hub=EventsHub(redis_url, ping_seconds=settings.ping_seconds, ended_tokens=ended_tokens),
        proxies=proxies,
        providers=providers,
        inventories=Inventories(providers),
    )


def run_api(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; open streams then end with `bye`."""
    logs.configure(log_format=settings.log_format, level=settings.log_level)
    app = create_app(settings)

    def stop() -> None:
        service: AppState = app.state.service
        service.hub.stop()

    make_server(app, host=settings.host, port=settings.port, on_stop=stop).run()
