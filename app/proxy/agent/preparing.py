"""Makes ready what virt-v2v needs, in the job and in its place; and then becomes virt-v2v."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from app.proxy.agent import ova_disks
from app.proxy.agent.refusals import RefusedError
from app.proxy.agent.telling import Told
from app.proxy.agent.trusting import trust_only


def prepare(order_path: str, argv: list[str]) -> None:
    """Carry the order out beside its directory; then run virt-v2v in our place.

    `{"trust": NAME}`: a file of certificates in the attempt's directory; else an order of `ova_disks`.
    """
    told = Told(argv)
    order = json.loads(Path(order_path).read_text(encoding="utf-8"))
    directory = Path(order_path).parent.parent
    try:
        if "trust" in order:
            trust_only(directory / order["trust"])
        else:
            ova_disks.make_ready(ova_disks.order_of(order), directory, told)
    except (RefusedError, OSError) as error:
        what = "the provider's certificates can't be trusted alone" if "trust" in order else "-i ova"
        told.say("error", f"{what}: {error}")
        sys.exit(1)
    os.execv(argv[0], argv)  # noqa: S606  # the program that the service asked for
