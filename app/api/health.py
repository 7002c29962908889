"""`/healthz`, `/readyz` and `/metrics`: for supervisors, load balancers and Prometheus."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from app.api.deps import StateDep
from app.api.problems import DatabaseUnavailableError, Responses, described
from app.api.state import AppState
from app.db import is_unavailable
from app.errors import AppError, SchemaMismatchError, UnprocessableError
from app.models.common import Shape
from app.services import imports, proxy_hosts, workers

router = APIRouter(tags=["health"])

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(Shape):
    status: Literal["ok"] = "ok"


class Readiness(Shape):
    """`ready` is this process's: its database answers and has the right schema."""

    ready: bool
    database: bool
    schema_version: str | None
    redis: bool
    workers: int
    code: str | None
    """Why it can't serve: `schema_mismatch` or `database_unavailable`."""
    problem: str | None


NOT_READY: Final[Responses] = {503: {"model": Readiness, "description": "It can't; the body says why."}}


@router.get("/healthz", operation_id="getHealth", summary="Whether the process is alive")
async def health() -> Health:
    return Health()


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Whether the process can serve",
    responses=NOT_READY | described([UnprocessableError]),
)
async def readiness(
    state: StateDep,
    response: Response,
    strict: Annotated[bool, Query(description="Redis and a worker are needed too.")] = False,
) -> Readiness:
    found = await _readiness(state)
    if not found.ready or (strict and not (found.redis and found.workers)):
        response.status_code = 503
    return found


async def _readiness(state: AppState) -> Readiness:
    redis = await state.queue.ping()
    try:
        await state.database.check_schema()
        version = await state.database.schema_version()
        async with state.database.reading() as session:
            count = await workers.count(session)
    except SchemaMismatchError as error:
        return _unready(error, redis=redis)
    except Exception as error:
        if not is_unavailable(error):
            raise
        return _unready(DatabaseUnavailableError(), redis=redis)
    return Readiness(
        ready=True,
        database=True,
        schema_version=version,
        redis=redis,
        workers=count,
        code=None,
        problem=None,
    )


def _unready(error: AppError, *, redis: bool) -> Readiness:
    return Readiness(
        ready=False,
        database=isinstance(error, SchemaMismatchError),
        schema_version=None,
        redis=redis,
        workers=0,
        code=error.code,
        problem=f"{error.detail} {error.own_hint or ''}".strip(),
    )


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Counts for Prometheus",
    response_class=PlainTextResponse,
    responses=described([DatabaseUnavailableError]),
)
async def metrics(state: StateDep) -> PlainTextResponse:
    async with state.database.reading() as session:
        by_state = await imports.counts(session)
        hosts = await proxy_hosts.counts(session)
        worker_count = await workers.count(session)
    lines = [
        *_gauge("v2v_import_imports", "Imports by state.", "state", by_state),
        *_gauge("v2v_import_proxy_hosts", "Proxy hosts by state.", "state", hosts),
        *_gauge("v2v_import_workers", "Workers alive.", None, {"": worker_count}),
        *_gauge("v2v_import_stream_clients", "Open event streams here.", None, {"": state.hub.client_count}),
    ]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=METRICS_TYPE)


def _gauge(name: str, text: str, label: str | None, values: dict[str, int]) -> list[str]:
    """Prometheus's text format 0.0.4."""
    samples = [
        f'{name}{{{label}="{value}"}} {count}' if label else f"{name} {count}"
        for value, count in sorted(values.items())
    ]
    return [f"# HELP {name} {text}", f"# TYPE {name} gauge", *samples]
