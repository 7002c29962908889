"""Makes ready what virt-v2v needs, in the job and in its place; and then becomes virt-v2v."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from app.proxy.agent import ova_disks, provider_disks
from app.proxy.agent.refusals import RefusedError
from app.proxy.agent.ssh_home import log_in
from app.proxy.agent.ssh_login import Login
from app.proxy.agent.telling import Told
from app.proxy.agent.trusting import trust_only


def prepare(order_path: str, argv: list[str]) -> None:
    """Carry the order out beside its directory; then run virt-v2v in our place.

    `{"trust": NAME}`: a file of certificates in the attempt's directory; `{"ssh": LOGIN, "secret": NAME}`:
    for `ssh_home`; with a `login` it is an order of `provider_disks`, else one of `ova_disks`.
    """
    told = Told(argv)
    order = json.loads(Path(order_path).read_text(encoding="utf-8"))
    try:
        _carry_out(order, Path(order_path).parent.parent, told)
    except (RefusedError, OSError) as error:
        told.say("error", f"{_what(order)}: {error}")
        sys.exit(1)
    os.execv(argv[0], argv)  # noqa: S606  # the program that the service asked for


def _carry_out(order: dict[str, Any], directory: Path, told: Told) -> None:
    if "trust" in order:
        trust_only(directory / order["trust"])
    elif "ssh" in order:
        log_in(Login(**order["ssh"]), directory / order["secret"])
    elif "login" in order:
        provider_disks.make_ready(provider_disks.order_of(order), directory, told)
    else:
        ova_disks.make_ready(ova_disks.order_of(order), directory, told)


def _what(order: dict[str, Any]) -> str:
    if "trust" in order:
        return "the provider's certificates can't be trusted alone"
    if "ssh" in order:
        return "the login to the VM's host can't be had alone"
    return "the VM's host" if "login" in order else "-i ova"
