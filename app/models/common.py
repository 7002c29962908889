"""Shapes that every resource shares."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

T = TypeVar("T")


class Shape(BaseModel):
    """A frozen value; unknown members are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _refuse_null(schema: JsonSchemaValue, model: type[BaseModel]) -> None:
    """Members that aren't sent are None in Python, but null only where the shape says so."""
    nullable = getattr(model, "NULLABLE", ())
    for name, member in schema["properties"].items():
        kinds = [kind for kind in member.get("anyOf", []) if kind != {"type": "null"}]
        if name not in nullable and len(kinds) == 1:
            del member["anyOf"]
            member.update(kinds[0])


class Patch(Shape):
    """A JSON merge patch (RFC 7396); `NULLABLE` are the members for which null means something."""

    NULLABLE: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(json_schema_extra=_refuse_null)


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    model_config = ConfigDict(frozen=True)

    items: list[T]
    next_cursor: str | None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """`Page[DataCenterPublic]` is called `DataCenterPage`."""
        return f"{params[0].__name__.removesuffix('Public')}Page"


@dataclass(frozen=True)
class Matching:
    """A text of this form, in the schema as well: a pattern that ECMA 262 and Python read alike."""

    pattern: str
    otherwise: str

    def check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(self.otherwise)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"pattern": self.pattern}


class NamesMatching:
    """On a dictionary whose keys have a pattern: the schema refuses the other keys as well."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        made = handler(schema)
        [(pattern, values)] = made.pop("patternProperties").items()
        names = made.get("propertyNames", {}) | {"pattern": pattern}
        return made | {"propertyNames": names, "additionalProperties": values}


def _is_number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Number = BeforeValidator(_is_number)
"""For numbers as JSON Schema has them: 5.0 is a whole one, "5" and true are none."""
Slots = Annotated[int, Field(ge=1, le=1000), Number]
NO_CONTROL: Final = r"[^\x00-\x1f\x7f-\x9f]"
NO_DOTS: Final = r"(?!([^\x00]*/)?\.\.(/|$))"
"""What follows has no member `..`."""

Plain = Matching(f"^{NO_CONTROL}*$", "control characters are not allowed")
NoNul = Matching(r"^[^\x00]*$", "a NUL character is not allowed")
"""PostgreSQL keeps no NUL in a text."""
ResourceName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, strip_whitespace=True),
    Matching(rf"^{NO_CONTROL}*[^\s\x00-\x1f\x7f-\x9f]{NO_CONTROL}*$", "control characters are not allowed"),
]
Description = Annotated[str, StringConstraints(max_length=4096), NoNul]
HostPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4095),
    Matching(rf"^/{NO_DOTS}[^\x00]*$", "the path must be absolute, and have no `..` and no NUL"),
]
"""An absolute path on a proxy host; any character but NUL, no `..`."""

_SERVER: Final = r"nfs://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
_PATH: Final = rf"/{NO_DOTS}[^\x00]*"
SourcePath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4095),
    Matching(
        rf"^({_SERVER}|device:///dev)?{_PATH}$",
        "give an absolute path, `nfs://server/export/path` or `device:///dev/…/path`, without `..` and NUL",
    ),
]
"""What an import reads: a path on the proxy host, or one on an export or a device that is mounted there.

Nothing in it is decoded.
"""
SourceRoot = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4095),
    Matching(
        rf"^({_SERVER}/{NO_DOTS}[^\x00?]*(\?vers=(3|4|4\.[012]))?|device:///dev{_PATH}|{_PATH})$",
        "give an absolute path, `nfs://server/export` (with `?vers=3` if need be) or `device:///dev/…`",
    ),
]

Json = dict[str, Any]
