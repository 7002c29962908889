"""The kinds of providers. A new kind is one file and one name here."""

from typing import Annotated, Any, Final

from pydantic import Field

from app.errors import FieldError, InvalidProviderUrlError, RecordUnreadableError
from app.providers.base import ProviderKind
from app.providers.kvm import Kvm, KvmProviderCreate
from app.providers.urls import ProviderUrl, Reach, parse
from app.providers.vmware import Vmware, VmwareProviderCreate
from app.providers.xen import Xen, XenProviderCreate

PROVIDER_KINDS: tuple[ProviderKind[Any], ...] = (
    Kvm(),
    Vmware(),
    Xen(),
)

ProviderCreate = Annotated[
    KvmProviderCreate | VmwareProviderCreate | XenProviderCreate,
    Field(discriminator="kind"),
]


NOT_ALLOWED: Final = "The service takes no providers on its own machine (`V2V_IMPORT_ALLOW_LOCAL_PROVIDERS`)."


def kind_of(kind: str) -> ProviderKind[Any]:
    """Raises RecordUnreadableError when there is no such kind."""
    for known in PROVIDER_KINDS:
        if known.kind == kind:
            return known
    raise RecordUnreadableError(f"There is no provider kind {kind!r}.")


def parse_url(kind: ProviderKind[Any], text: str, *, allows_local: bool) -> ProviderUrl:
    """The URL in its parts. Raises InvalidProviderUrlError."""
    try:
        url = parse(text, kind.schemes)
    except ValueError as error:
        raise _invalid(str(error)) from error
    if url.reach is Reach.LOCAL and not allows_local:
        raise _invalid(NOT_ALLOWED)
    return url


def _invalid(detail: str) -> InvalidProviderUrlError:
    fault = FieldError(pointer="/url", code=InvalidProviderUrlError.code, detail=detail)
    return InvalidProviderUrlError(detail, errors=(fault,))
