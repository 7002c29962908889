"""Carries out the one verb that it was started for."""

from __future__ import annotations

import json
import resource
import signal
import sys
from typing import Any, Callable

from app.proxy.agent.attempts import create_attempt, remove_attempt, status, write
from app.proxy.agent.copying import copy
from app.proxy.agent.folders import walk
from app.proxy.agent.images import disk_result, image_info
from app.proxy.agent.inspecting import inspect
from app.proxy.agent.inventory import inventory
from app.proxy.agent.jobs import MOUNTED, PREPARE, launch, stop
from app.proxy.agent.looking import list_result, look, read, read_result
from app.proxy.agent.mounts import mount_all, run_mounted
from app.proxy.agent.ovirt import ovf_stores, volume_chain
from app.proxy.agent.preparing import prepare
from app.proxy.agent.probe import probe, ready
from app.proxy.agent.provider_images import provider_images
from app.proxy.agent.receiving import receive
from app.proxy.agent.refusals import InvalidSourceError, RefusedError, of_system
from app.proxy.agent.storage import (
    clear_marker,
    make_dir,
    make_image,
    mark,
    probe_dir,
    put_file,
    remove_tree,
    set_owner,
)
from app.proxy.agent.tars import gzip_image_info, tar_image_info, tar_list, tar_read
from app.proxy.agent.uploads import (
    create_upload,
    gather_uploads,
    remove_upload,
    upload_offset,
)
from app.proxy.agent.watch import watch

Verb = Callable[..., object]

LOOKING: dict[str, Verb] = {
    "look": look,
    "read": read,
    "image_info": image_info,
    "tar_list": tar_list,
    "tar_read": tar_read,
    "tar_image_info": tar_image_info,
    "gzip_image_info": gzip_image_info,
    "volume_chain": volume_chain,
    "ovf_stores": ovf_stores,
    "disk_result": disk_result,
    "read_result": read_result,
    "list_result": list_result,
    "walk": walk,
    "probe_dir": probe_dir,
    "provider_images": provider_images,
}
"""They read what strangers made, so their memory is limited; they need no work directory."""
ACTING: dict[str, Verb] = {
    "ready": ready,
    "probe": probe,
    "inventory": inventory,
    "create_attempt": create_attempt,
    "write": write,
    "launch": launch,
    "status": status,
    "stop": stop,
    "remove_attempt": remove_attempt,
    "make_dir": make_dir,
    "make_image": make_image,
    "put_file": put_file,
    "set_owner": set_owner,
    "clear_marker": clear_marker,
    "mark": mark,
    "remove_tree": remove_tree,
    "create_upload": create_upload,
    "upload_offset": upload_offset,
    "gather_uploads": gather_uploads,
    "remove_upload": remove_upload,
}
MOST_MEMORY_BYTES = 2 << 30
PATIENCE_SECONDS = 5
"""How much longer than the service we wait: who asks has given up by then."""


def main() -> None:
    verb = sys.argv[1]
    if verb == "watch":
        watch(sys.argv[2])
        return
    if verb == PREPARE:
        prepare(sys.argv[2], sys.argv[3:])
        return
    if verb == MOUNTED:
        run_mounted(sys.argv[2], sys.argv[3:])
        return
    if verb in {"copy", "inspect"}:
        (copy if verb == "copy" else inspect)(sys.argv[2:])
        return
    if verb == "receive":
        opening = json.loads(sys.stdin.buffer.readline())
        _say(_answer(verb, lambda: receive(opening, sys.stdin.buffer, lambda begun: _say({"result": begun}))))
        return
    request = json.load(sys.stdin.buffer)
    # SSH ends nothing on this side when the service gives up.
    signal.alarm(int(request.pop("timeout_seconds")) + PATIENCE_SECONDS)
    json.dump(_answer(verb, lambda: _carry_out(verb, request)), sys.stdout)


def _say(answer: dict[str, object]) -> None:
    """One line of several."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _answer(verb: str, act: Callable[[], object]) -> dict[str, object]:
    try:
        return {"result": act()}
    except RefusedError as error:
        return _refused(error)
    except OSError as error:
        return _refused(of_system(error, RefusedError, f"{verb} failed on the proxy host"))
    except MemoryError:
        return _refused(InvalidSourceError("Reading it takes more memory than any sound file needs."))


def _refused(error: RefusedError) -> dict[str, object]:
    return {"code": error.code, "detail": str(error)}


def _carry_out(verb: str, request: dict[str, Any]) -> object:
    mount_all(request["work_dir"], request.pop("mounts", []))
    if verb in LOOKING:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
        del request["work_dir"]
        return LOOKING[verb](**request)
    return ACTING[verb](**request)
