"""A libvirt whose VMs are described by the path of the URL, a JSON file: `test:///path/vms.json`.

`{"refuses": {"code", "detail"}, "vms": [{"id", "name", …}], "count"}`: with `count`, so many VMs besides.
"""

import json
from pathlib import Path
from typing import Any

from app.children.answering import ChildError, Code, Request, serve


def answer(request: Request) -> object:
    place = json.loads(Path(request["url"]["path"]).read_text())
    if "refuses" in place:
        refused = place["refuses"]
        raise ChildError(Code(refused["code"]), refused["detail"])
    vms = [*place["vms"], *({"id": f"vm-{n}", "name": f"web {n:05}"} for n in range(place.get("count", 0)))]
    return ANSWERS[request["do"]](request, vms)


def _check(request: Request, _: list[dict[str, Any]]) -> object:
    """What it was told comes back, but for secrets: tests look at it."""
    told = {name: value for name, value in request.items() if name != "password"}
    return {"product": json.dumps(told, sort_keys=True), "version": "9.0.0"}


def _list(_: Request, vms: list[dict[str, Any]]) -> object:
    return {"vms": [{"config": vm, "path": f"/{vm['name']}", "disk_count": 1} for vm in vms]}


def _vm(request: Request, vms: list[dict[str, Any]]) -> object:
    for vm in vms:
        if vm["id"] == request["vm_id"]:
            return {"config": vm, "path": f"/{vm['name']}"}
    raise ChildError(Code.VM_NOT_FOUND, f"There is no VM {request['vm_id']}.")


ANSWERS = {"check": _check, "list": _list, "vm": _vm}

if __name__ == "__main__":
    serve(answer)
