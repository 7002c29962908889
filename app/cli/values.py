"""Reads the values of options: pairs, secrets in files, JSON documents."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from app.cli.output import Json


def pairs(texts: Sequence[str] | None, separator: str, option: str) -> Iterator[tuple[str, str]]:
    """The two halves of each text; one without the separator is a usage error that names the option."""
    for text in texts or ():
        left, found, right = text.partition(separator)
        if not (left and found and right):
            raise typer.BadParameter(f"{option} {text!r}: write it as LEFT{separator}RIGHT")
        yield left, right


def read_text(path: Path) -> str:
    """The file's text; `-` is standard input. A file that can't be read is a usage error."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}") from error


def read_secret(path: Path) -> str:
    """The file's text without the newline at its end, which editors put there."""
    return read_text(path).removesuffix("\n").removesuffix("\r")


def read_document(path: Path) -> Json:
    """The JSON object in the file."""
    try:
        document = json.loads(read_text(path))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path} holds no JSON object")
    return document
