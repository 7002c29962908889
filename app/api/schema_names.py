"""The names of schemas in the OpenAPI document: the words of the API, not those of our classes."""

import re
from typing import Any, Final

PREFIX: Final = "#/components/schemas/"
SENT, ANSWERED = "-Input", "-Output"
"""What FastAPI adds to the two faces of one class."""
INTERNAL: Final = {"VmImport": "Import", "ApiToken": "Token"}
"""Classes whose names say more than the API's word, since the word is taken in Python or among us."""
CLASHING: Final = {"ConversionPropertiesPublic": "ConversionSpec"}


def name_of(class_name: str) -> str:
    """`VmPublic` is `Vm`, `Page[VmPublic]` is `VmPage`."""
    class_name = class_name.removesuffix(SENT).removesuffix(ANSWERED)
    page = re.fullmatch(r"Page\W?_?(\w+?)_?\W?", class_name)
    if page:
        return f"{name_of(page[1])}Page"
    for internal, word in INTERNAL.items():
        if class_name.startswith(internal):
            return name_of(word + class_name.removeprefix(internal))
    return CLASHING.get(class_name, class_name.removesuffix("Public"))


def rename(document: dict[str, Any]) -> None:
    """Give every schema its name, where it stands and where it is referred to.

    A shape that is both sent and answered is told once, as it may be sent.
    """
    schemas: dict[str, Any] = document["components"]["schemas"]
    renamed: dict[str, Any] = {}
    for class_name in sorted(schemas, key=lambda name: (name_of(name), name)):
        name = name_of(class_name)
        if name not in renamed:
            renamed[name] = {**schemas[class_name], "title": name}
        elif not class_name.endswith(ANSWERED):
            raise ValueError(f"two schemas are named {name}")
    document["components"]["schemas"] = renamed
    _rename_references(document)


def _rename_references(part: object) -> None:
    if isinstance(part, dict):
        for key, value in part.items():
            if isinstance(value, str) and value.startswith(PREFIX):
                part[key] = PREFIX + name_of(value.removeprefix(PREFIX))
            else:
                _rename_references(value)
    elif isinstance(part, list):
        for value in part:
            _rename_references(value)
