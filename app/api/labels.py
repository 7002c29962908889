"""`?label=k:v`, repeatable: what is shown must carry them all."""

from typing import Annotated

from fastapi import Depends, Query

from app.models.common import Matching

Label = tuple[str, str]
LabelText = Annotated[str, Matching(r"^[^:\x00]+:[^\x00]*$", "give it as `key:value`")]


def _labels(
    label: Annotated[
        list[LabelText] | None,
        Query(max_length=64, description="`key:value`; given more than once, all must be there."),
    ] = None,
) -> tuple[Label, ...]:
    return tuple((key, value) for key, _, value in (text.partition(":") for text in label or ()))


LabelsDep = Annotated[tuple[Label, ...], Depends(_labels)]
