"""`/v1/kinds`: what can be chosen, with its JSON Schema; the open lists that clients show."""

from fastapi import APIRouter
from pydantic import TypeAdapter

from app.api.deps import ViewerDep
from app.api.problems import problems
from app.api.work import ServiceRoute
from app.concerns import RULES
from app.destinations import DESTINATIONS
from app.errors import problem_classes
from app.models.common import Json, Shape
from app.models.state import PAGE_NUMBER, StepName
from app.models.vm import ConcernSeverity
from app.providers import PROVIDER_KINDS
from app.sources import SOURCES
from app.v2v import failures  # noqa: F401  # its codes are on imports that failed; here it is only loaded

router = APIRouter(prefix="/v1/kinds", tags=["kinds"], route_class=ServiceRoute)


class Kind(Shape):
    """A kind; `json_schema` describes `source`, a provider's `options`, or a destination's `settings`."""

    kind: str
    title: str
    json_schema: Json


class StepKind(Shape):
    """A step of an import; `page_step` is its number in oVirt's description of the process."""

    name: StepName
    page_step: int


class ConcernKind(Shape):
    code: str
    severity: ConcernSeverity
    title: str
    hint: str


class ProblemKind(Shape):
    code: str
    status: int
    title: str
    hint: str | None


class Kinds(Shape):
    sources: tuple[Kind, ...]
    providers: tuple[Kind, ...]
    destinations: tuple[Kind, ...]
    steps: tuple[StepKind, ...]
    concerns: tuple[ConcernKind, ...]
    problems: tuple[ProblemKind, ...]


KINDS = Kinds(
    sources=tuple(
        Kind(kind=source.kind, title=source.title, json_schema=TypeAdapter(source.Spec).json_schema())
        for source in SOURCES
    ),
    providers=tuple(
        Kind(kind=kind.kind, title=kind.title, json_schema=TypeAdapter(kind.Options).json_schema())
        for kind in PROVIDER_KINDS
    ),
    destinations=tuple(
        Kind(
            kind=destination.kind,
            title=destination.title,
            json_schema=TypeAdapter(destination.Settings).json_schema(),
        )
        for destination in DESTINATIONS
    ),
    steps=tuple(StepKind(name=name, page_step=PAGE_NUMBER[name]) for name in StepName),
    concerns=tuple(
        ConcernKind(code=rule.code, severity=rule.severity, title=rule.title, hint=rule.hint)
        for rule in RULES
    ),
    problems=tuple(
        ProblemKind(code=kind.code, status=kind.status, title=kind.title, hint=kind.hint)
        for kind in problem_classes()
    ),
)


@router.get("", operation_id="listKinds", summary="List kinds, steps and codes", responses=problems())
async def read(caller: ViewerDep) -> Kinds:
    return KINDS
