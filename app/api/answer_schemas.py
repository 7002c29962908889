"""Shapes that are only ever answered: each of their members is always there, also one that has a default."""

from collections.abc import Iterator
from typing import Any

from app.api.schema_names import PREFIX


def require_all_members(document: dict[str, Any]) -> None:
    """So that generated clients need not ask whether a member is missing."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    sent = _reached(document, schemas)
    for name, schema in schemas.items():
        if name not in sent and "properties" in schema:
            schema["required"] = list(schema["properties"])


def _reached(document: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """The schemas that request bodies are made of."""
    operations = (operation for path in document["paths"].values() for operation in path.values())
    waiting = [name for operation in operations for name in _references(operation.get("requestBody"))]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_references(schemas[name]))
    return found


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
    elif isinstance(part, str) and part.startswith(PREFIX):
        yield part.removeprefix(PREFIX)
