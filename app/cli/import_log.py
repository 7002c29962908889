"""Prints an import's log, whole or while it grows."""

import codecs
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from app.cli.client import ProblemError, Service, problem_of
from app.cli.exits import ENDED
from app.cli.output import Output
from app.cli.text import KEPT, safe

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Piece:
    offset: int
    data: bytes


def print_log(
    service: Service, output: Output, import_id: str, attempt: int, *, follow: bool, tail: int | None
) -> None:
    """To a file byte for byte, to a terminal without what could steer it, as JSON one line a piece."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for piece in _pieces(service, import_id, attempt, follow=follow, tail=tail):
        if output.as_json:
            output.json_line({"attempt": attempt, "offset": piece.offset, "text": decoder.decode(piece.data)})
        elif output.console.is_terminal:
            output.write(safe(decoder.decode(piece.data), kept=KEPT))
        else:
            sys.stdout.buffer.write(piece.data)
            sys.stdout.flush()


def _pieces(
    service: Service, import_id: str, attempt: int, *, follow: bool, tail: int | None
) -> Iterator[Piece]:
    path = f"/v1/imports/{import_id}"
    wanted, offset = f"bytes=-{tail}" if tail else "bytes=0-", 0
    while True:
        # Asked before the log is read: what an ended import wrote is whole then.
        is_over = not follow or _is_over(service, path, attempt)
        piece = _read(service, f"{path}/log", attempt, wanted, offset)
        if piece is not None:
            yield piece
            offset = piece.offset + len(piece.data)
            wanted = f"bytes={offset}-"
        if is_over:
            return
        time.sleep(POLL_SECONDS)


def _is_over(service: Service, path: str, attempt: int) -> bool:
    document = service.get(path)
    return bool(document["attempt"] > attempt or document["state"] in ENDED)


def _read(service: Service, path: str, attempt: int, wanted: str, offset: int) -> Piece | None:
    """What the log has in the range; None when it has nothing there (yet)."""
    response = service.raw(path, {"attempt": attempt}, {"Range": wanted})
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        return None
    if not response.is_success:
        raise ProblemError(problem_of(response))
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        return Piece(_first_byte(response.headers["Content-Range"]), response.content)
    return Piece(offset, response.content[offset:]) if len(response.content) > offset else None


def _first_byte(content_range: str) -> int:
    return int(content_range.removeprefix("bytes ").partition("-")[0])
