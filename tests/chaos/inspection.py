"""What must hold after each round: what is there belongs to what lives, and nothing was done twice."""

import asyncio
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from tests.chaos.databases import read_ledger
from tests.chaos.load import SECRET, Wanted
from tests.chaos.processes import everything
from tests.chaos.world import World

LOOKS = 4
BETWEEN_SECONDS = 1.5
MARKER = "V2V_IMPORT_ATTEMPT="
MARKER_FILE = ".v2v-import-attempt"


async def left_behind(world: World) -> list[str]:
    """What belongs to nothing that lives. What is just being made or removed isn't there at the next look."""
    found = await _look(world)
    for _ in range(LOOKS):
        if not found:
            break
        await asyncio.sleep(BETWEEN_SECONDS)
        found &= await _look(world)
    return sorted(found)


async def _look(world: World) -> set[str]:
    # What is there is listed between two readings: an attempt that lives at either may own it.
    before = await read_ledger(world.rows)
    there = await asyncio.to_thread(lambda: list(_things(world)))
    after = await read_ledger(world.rows)
    live = before.live_attempts | after.live_attempts
    kept = before.disk_paths | after.disk_paths
    unowned = {text for text, owner in there if not _is_owned(owner, live, kept)}
    return unowned | {*before.faults}.intersection(after.faults)


Owner = str | Path | None
"""The end of an attempt's id, or the directory of a VM's disks."""


def _is_owned(owner: Owner, live: frozenset[UUID], kept: frozenset[str]) -> bool:
    if isinstance(owner, Path):
        return any(Path(path).parent == owner for path in kept)
    return owner is not None and any(str(attempt_id).endswith(owner) for attempt_id in live)


def _things(world: World) -> Iterator[tuple[str, Owner]]:
    for machine in (*world.machines, world.real_machine):
        for path in machine.things():
            yield f"{path}", path.name
    for pid, words in everything():
        if os.fsencode(world.root) in words and (owner := _attempt_of(words)):
            yield f"process {pid} of attempt {owner}", owner
    stores = (world.stores["directory"], world.stores["ovirt_data"], world.root / "real-store")
    for store in stores:
        for path in _entries(store):
            yield f"{path}", _owner_of(path)
    for line in Path("/proc/mounts").read_text().splitlines():
        place = line.split()[1]
        if place.startswith(f"{world.root}/") and place not in world.mounts:
            yield f"mount {place}", None


def _attempt_of(words: bytes) -> str | None:
    for word in words.split(b"\0"):
        if word.startswith(MARKER.encode()):
            return word.partition(b"=")[2].decode()
    return None


def _entries(store: Path) -> list[Path]:
    """The directories of VMs: in an oVirt domain those of images."""
    if not store.is_dir():
        return []
    images = [path / "images" for path in store.iterdir() if (path / "images").is_dir()]
    return [entry for base in images or [store] for entry in base.iterdir()]


def _owner_of(path: Path) -> Owner:
    if path.name.startswith(f"{MARKER_FILE}-"):
        return path.name.removeprefix(f"{MARKER_FILE}-")
    try:
        return (path / MARKER_FILE).read_text().split()[0]
    except (OSError, IndexError):
        return path


def doubled(world: World) -> list[str]:
    """Attempts whose virt-v2v was started twice, and sources on which two worked at once."""
    file = world.program_dir / "runs"
    runs = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    counted = Counter(run["attempt"] for run in runs)
    twice = [f"attempt {attempt} ran {count} times" for attempt, count in counted.items() if count > 1]
    both = world.program_dir / "doubled"
    return twice + (both.read_text().splitlines() if both.exists() else [])


async def secrets_seen(world: World) -> list[str]:
    """Where the passphrase of the imports can be read."""
    places = [str(path) for path in (world.log, world.data_dir, world.redis.directory)]
    found = await asyncio.to_thread(_files_with_secrets, places)
    for wanted in world.load.all[-20:]:
        if wanted.found is not None:
            log = await world.client.ask("GET", f"/v1/imports/{wanted.id}/log")
            if SECRET in log.text:
                found.append(f"the log of import {wanted.id}")
    return found


def _files_with_secrets(places: list[str]) -> list[str]:
    # A process of its own: who opens SQLite's file and closes it again drops all locks that it has on it.
    search = ["grep", "--recursive", "--files-with-matches", "--fixed-strings", "--regexp", SECRET, *places]
    return subprocess.run(search, check=False, stdout=subprocess.PIPE, text=True).stdout.splitlines()


async def settle(world: World, wanted: Wanted) -> list[str]:
    """Look whether an import that ended is what it should be, and remove the VM that it made."""
    found = wanted.found
    assert found is not None
    faults = [] if wanted.is_true() else [_told(wanted)]
    if found["state"] == "succeeded" and found["vm_id"]:
        vm = await world.client.get(f"/v1/vms/{found['vm_id']}")
        for disk_id in vm["disk_ids"]:
            faults += await _check_disk(world, wanted, disk_id)
        gone = await world.client.ask("DELETE", f"/v1/vms/{vm['id']}", params={"delete_disks": "true"})
        if gone.status_code not in {204, 404}:
            faults.append(f"VM {vm['id']} can't be deleted: {gone.text}")
    if wanted.source.parent == world.images.directory:
        world.load.drop(wanted)
    return faults


async def _check_disk(world: World, wanted: Wanted, disk_id: str) -> list[str]:
    disk = await world.client.get(f"/v1/disks/{disk_id}")
    path = Path(disk["location"]["path"])
    if disk["state"] != "ok" or not path.is_file():
        return [f"disk {disk_id} of import {wanted.id} is {disk['state']}, its file {path}"]
    if wanted.source.parent != world.images.directory:
        return []
    is_copied = await asyncio.to_thread(world.images.is_copied, wanted.source, path, disk["format"])
    return [] if is_copied else [f"disk {disk_id} of import {wanted.id} isn't what its source is"]


def _told(wanted: Wanted) -> str:
    assert wanted.found is not None
    problem = wanted.found["problem"] or {}
    return (
        f"import {wanted.id} (number {wanted.number}) is {wanted.found['state']} {problem.get('code', '')} "
        f"{problem.get('detail', '')}, not {sorted(wanted.states)} {sorted(wanted.codes)}"
    )
