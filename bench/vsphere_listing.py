"""How long a vCenter with many VMs takes to be listed, and in how many round trips.

    python bench/vsphere_listing.py [VMS]

The vCenter is govmomi's simulator, on the same machine; it answers in pages of 1,000 objects, as asked for.
"""

import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.children.vsphere.__main__ import answer
from tests.support.vcenter import running_vcenter


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with running_vcenter("-machines", str(wanted)) as vcenter:
        began = time.monotonic()
        listed = answer(vcenter.request("list", deadline_seconds=600.0))
        seconds = time.monotonic() - began
        calls = vcenter.calls()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{len(listed['vms'])} VMs in {seconds:.1f} s, {sum(calls.values())} round trips, {memory} MiB")
    for method, count in sorted(calls.items()):
        print(f"  {method} {count}")


if __name__ == "__main__":
    main()
