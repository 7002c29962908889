"""`v2v-import upload` and `uploads …`: brings files to a proxy host, lists and deletes them."""

import hashlib
import time
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Annotated, Final

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli import units
from app.cli.client import LostError, Service, local_problem
from app.cli.commands import service_command
from app.cli.output import Json, Output
from app.cli.places import data_center_id, proxy_host_id
from app.cli.text import safe

app = typer.Typer(help="List and delete uploads.", no_args_is_help=True)
top = typer.Typer()

UPLOADS: Final = "/v1/uploads"
PIECE_BYTES: Final = 32 * 2**20
"""What is held in memory, checked by its checksum, and sent again when it didn't arrive."""
TRIES: Final = 8
"""One after the other that fail."""
FIRST_PAUSE_SECONDS: Final = 0.5
TUS: Final = {"Tus-Resumable": "1.0.0"}


@service_command(top, "upload")
def upload_file(
    service: Service,
    output: Output,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file to upload.")],
    proxy_host: Annotated[str | None, typer.Option(help="Proxy host, by name or id.")] = None,
    data_center: Annotated[
        str | None, typer.Option(help="Data center, by name or id: a proxy host with room is chosen.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with an upload that was broken off.")
    ] = None,
    piece: Annotated[
        int, typer.Option(min=1, metavar="BYTES", help="Sent and checked at a time.")
    ] = PIECE_BYTES,
    tries: Annotated[int, typer.Option(min=1, help="Failures in a row until it gives up.")] = TRIES,
) -> None:
    """Upload a file for an import. A connection that breaks is taken up again; --resume goes on later."""
    if sum(place is not None for place in (proxy_host, data_center, resume)) != 1:
        raise typer.BadParameter("give one of --proxy-host, --data-center and --resume")
    with file.open("rb") as source:
        size = file.stat().st_size
        path = f"{UPLOADS}/{resume}" if resume else _begun(service, file, size, proxy_host, data_center)
        upload_id = path.rsplit("/", 1)[1]
        if not output.as_json:
            output.note(f"Upload {upload_id}")
        _send_all(output, _Sending(service, path, source, size, piece), tries)
    if output.as_json:
        output.document(service.get(path))
    else:
        output.line(upload_id)


def _begun(service: Service, file: Path, size: int, proxy_host: str | None, data_center: str | None) -> str:
    """The path of a new upload."""
    place = (
        {"proxy_host_id": proxy_host_id(service, proxy_host)}
        if proxy_host is not None
        else {"data_center_id": data_center_id(service, data_center or "")}
    )
    told = {"filename": file.name, **place}
    metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in told.items())
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    try:
        return str(service.transfer("POST", UPLOADS, headers).headers["Location"])
    except LostError as error:
        raise _lost(error) from error


def _lost(error: LostError, hint: str | None = None) -> Exception:
    return local_problem("upload_interrupted", "The upload was broken off", str(error), hint)


class _Sending:
    """A file on its way."""

    def __init__(self, service: Service, path: str, source: IO[bytes], size: int, piece_bytes: int) -> None:
        self.path, self.size = path, size
        self._service, self._source, self._piece_bytes = service, source, piece_bytes

    def offset(self) -> int:
        """How much has arrived. Raises LostError, ProblemError."""
        told: Mapping[str, str] = self._service.transfer("HEAD", self.path, TUS).headers
        if int(told["Upload-Length"]) != self.size:
            detail = f"The upload has {told['Upload-Length']} bytes, the file {self.size}."
            raise local_problem("another_file", "The upload is one of another file", detail)
        return int(told["Upload-Offset"])

    def send(self, offset: int) -> int:
        """Send the next piece; the offset after it. Raises LostError, ProblemError."""
        self._source.seek(offset)
        data = self._source.read(self._piece_bytes)
        headers = {
            **TUS,
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
            "Upload-Checksum": f"sha256 {b64encode(hashlib.sha256(data).digest()).decode()}",
        }
        answer = self._service.transfer("PATCH", self.path, headers, data)
        return int(answer.headers["Upload-Offset"])


def _send_all(output: Output, sending: _Sending, tries: int) -> None:
    """From where the upload is to its end; what got lost is asked for and sent again. Raises ProblemError."""
    failed = 0
    with _bar(output) as bar:
        task = bar.add_task("upload", total=sending.size)
        while True:
            try:
                offset = sending.offset()
                while offset < sending.size:
                    bar.update(task, completed=offset)
                    offset, failed = sending.send(offset), 0
                bar.update(task, completed=offset)
            except LostError as error:
                failed += 1
                if failed >= tries:
                    upload_id = sending.path.rsplit("/", 1)[1]
                    hint = f"Go on with `v2v-import upload FILE --resume {upload_id}`."
                    raise _lost(error, hint) from error
                time.sleep(FIRST_PAUSE_SECONDS * 2 ** (failed - 1))
            else:
                return


def _bar(output: Output) -> Progress:
    columns = (BarColumn(bar_width=40), TextColumn("{task.percentage:>5.1f} %"), DownloadColumn())
    return Progress(*columns, TimeRemainingColumn(), console=output.console, disable=not output.is_terminal)


@service_command(app, "list")
def list_uploads(service: Service, output: Output) -> None:
    """List uploads, newest first."""
    found = service.items(UPLOADS)
    if output.as_json:
        output.document({"items": found, "next_cursor": None})
        return
    output.table(
        ("ID", "FILE", "STATE", "DONE", "PROXY HOST", "EXPIRES"),
        [_row(upload) for upload in found],
        none="There are no uploads.",
    )


def _row(upload: Json) -> list[object]:
    return [
        upload["id"],
        safe(upload["file_name"]),
        upload["state"],
        units.part(upload["offset_bytes"], upload["length_bytes"]),
        upload["proxy_host_id"],
        upload["expires_at"],
    ]


@service_command(app, "delete")
def delete_uploads(
    service: Service,
    output: Output,
    ids: Annotated[list[str], typer.Argument(metavar="ID", show_default=False)],
) -> None:
    """Delete uploads; one that a live import takes stays."""
    for upload_id in ids:
        service.delete(f"{UPLOADS}/{upload_id}")
        if not output.as_json:
            output.line(f"{upload_id}: deleted")
