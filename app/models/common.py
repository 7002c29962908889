"""Shapes that every resource shares."""

import unicodedata
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

T = TypeVar("T")


class Shape(BaseModel):
    """A frozen value; unknown members are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    model_config = ConfigDict(frozen=True)

    items: list[T]
    next_cursor: str | None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """`Page[DataCenterPublic]` is called `DataCenterPage`."""
        return f"{params[0].__name__.removesuffix('Public')}Page"


def _no_control_characters(text: str) -> str:
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueError("control characters are not allowed")
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character is not allowed")
    return text


Plain = AfterValidator(_no_control_characters)
NoNul = AfterValidator(_no_nul)
"""PostgreSQL keeps no NUL in a text."""
ResourceName = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True), Plain]
Description = Annotated[str, StringConstraints(max_length=4096), NoNul]


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("the path must be absolute")
    if ".." in path.split("/"):
        raise ValueError("`..` is not allowed")
    return path


HostPath = Annotated[str, StringConstraints(min_length=1, max_length=4095), NoNul, AfterValidator(_absolute)]
"""An absolute path on a proxy host; any character but NUL, no `..`."""

Json = dict[str, Any]
