"""The agent's verbs, and the modules that carry them out: each start imports only what its verb needs."""

from __future__ import annotations

from importlib import import_module
from typing import Callable

WATCH, RECEIVE, COPY, INSPECT = "watch", "receive", "copy", "inspect"
PREPARE = "prepare"
"""The verb under which the program is started where virt-v2v is to run."""
MOUNTED = "run_mounted"
"""The verb under which it is started where something is to be mounted for all that follows."""

LOOKING: dict[str, str] = {
    "look": "looking",
    "read": "looking",
    "image_info": "images",
    "tar_list": "tars",
    "tar_read": "tars",
    "tar_image_info": "tars",
    "gzip_image_info": "tars",
    "volume_chain": "ovirt",
    "ovf_stores": "ovirt",
    "disk_result": "images",
    "read_result": "looking",
    "list_result": "looking",
    "walk": "folders",
    "probe_dir": "storage",
    "provider_images": "provider_images",
}
"""They read what strangers made, so their memory is limited; they need no work directory."""
ACTING: dict[str, str] = {
    "ready": "probe",
    "probe": "probe",
    "inventory": "inventory",
    "create_attempt": "attempts",
    "write": "attempts",
    "launch": "jobs",
    "status": "attempts",
    "stop": "jobs",
    "remove_attempt": "attempts",
    "make_dir": "storage",
    "make_image": "storage",
    "put_file": "storage",
    "set_owner": "storage",
    "clear_marker": "storage",
    "mark": "storage",
    "remove_tree": "storage",
    "create_upload": "uploads",
    "upload_offset": "uploads",
    "gather_uploads": "uploads",
    "remove_upload": "uploads",
}
LASTING: dict[str, str] = {
    WATCH: "watch",
    RECEIVE: "receiving",
    COPY: "copying",
    INSPECT: "inspecting",
    PREPARE: "preparing",
    MOUNTED: "mounts",
}
"""They go on for long, and are started in ways of their own."""
MODULES = {**LOOKING, **ACTING, **LASTING, "mount_all": "mounts"}


def act_of(verb: str) -> Callable[..., object]:
    """The function of that name. Raises KeyError."""
    found: Callable[..., object] = getattr(import_module(f"app.proxy.agent.{MODULES[verb]}"), verb)
    return found
