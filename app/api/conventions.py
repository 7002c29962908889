"""ETags, If-Match and merge patches: alike for every resource."""

import re
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Response

from app.errors import FieldError, InvalidRequestError, PreconditionFailedError, UnprocessableError
from app.models.common import Patch

LIST_OF_TAGS: Final = r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'
"""RFC 9110, section 13.1.1; for the document, since a malformed header is 400 rather than 422."""


def etag(version: int) -> str:
    """A strong entity tag (RFC 9110, section 8.8.3): the version that counts the resource's changes."""
    return f'"{version}"'


def set_etag(response: Response, version: int) -> None:
    response.headers["ETag"] = etag(version)


class IfMatch:
    """What the request expects the resource to be at."""

    def __init__(
        self,
        if_match: Annotated[
            str | None,
            Header(
                alias="If-Match",
                description="Only if the resource is at this ETag.",
                json_schema_extra={"pattern": LIST_OF_TAGS, "format": "etags"},
            ),
        ] = None,
    ) -> None:
        if if_match is not None and not re.fullmatch(LIST_OF_TAGS, if_match):
            raise InvalidRequestError("If-Match is no list of quoted ETags.")
        self._tags = None if if_match is None else {tag.strip() for tag in if_match.split(",")}

    def check(self, version: int) -> None:
        """Raises PreconditionFailedError when the resource has changed since."""
        if self._tags is None or "*" in self._tags or etag(version) in self._tags:
            return
        raise PreconditionFailedError(f"The resource is at {etag(version)}.")


IfMatchDep = Annotated[IfMatch, Depends(IfMatch)]


def changes(body: Patch, *, within: str = "") -> dict[str, Any]:
    """The members of a merge patch that were sent; `within` is the pointer to the patch in the body.

    Raises UnprocessableError for a null without a meaning.
    """
    given = {name: getattr(body, name) for name in body.model_fields_set}
    faults = tuple(
        FieldError(pointer=f"{within}/{name}", code="null_not_allowed", detail="This can't be null.")
        for name, value in given.items()
        if value is None and name not in body.NULLABLE
    )
    if faults:
        raise UnprocessableError(faults[0].detail, errors=faults)
    return given
