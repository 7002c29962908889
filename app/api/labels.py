"""`?label=k:v`, repeatable: what is shown must carry them all."""

from typing import Annotated

from fastapi import Depends, Query

from app.errors import FieldError, UnprocessableError

Label = tuple[str, str]


def _labels(
    label: Annotated[
        list[str] | None,
        Query(max_length=64, description="`key:value`; given more than once, all must be there."),
    ] = None,
) -> tuple[Label, ...]:
    return tuple(_label(text) for text in label or ())


def _label(text: str) -> Label:
    key, colon, value = text.partition(":")
    if colon and key and "\0" not in text:
        return key, value
    detail = f"{text[:200]!r} is not of the form `key:value`."
    raise UnprocessableError(
        detail, errors=(FieldError(pointer="query:label", code="invalid_label", detail=detail),)
    )


LabelsDep = Annotated[tuple[Label, ...], Depends(_labels)]
