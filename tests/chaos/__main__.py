"""Breaks the running service again and again. Its last line is `ok` or `failed` with the counts.

scripts/chaos [--rounds 100] [--full] [--worlds 2] [--fault NAME …] [--seed N] [--real-every 25]
"""

import argparse
import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.report import Report
from tests.chaos.rounds import Rounds
from tests.chaos.world import running_world

ROOT = Path(__file__).parents[2]
KINDS = ("sqlite", "postgresql")
SHORT_SCALE = 0.1
LOGS = ROOT / ".cache" / "chaos"
"""The service's logs of the runs are kept here."""


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.world is not None:
        report = asyncio.run(_run_world(options))
        options.report.write_text(json.dumps(asdict(report)))
        return 0
    options.guest = None if options.no_real else _guest()
    report = _run_worlds(options)
    print(report.table())
    for sentence in report.sentences():
        print(sentence)
    print(report.verdict())
    return 0 if report.is_good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="faults in all")
    parser.add_argument("--full", action="store_true", help="outages as long as in life (30 s), not a tenth")
    parser.add_argument("--worlds", type=int, default=2, help="services at the same time, on either database")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="only these")
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices of a run")
    parser.add_argument("--real-every", type=int, default=25, help="rounds between two real conversions")
    parser.add_argument("--no-real", action="store_true", help="no real virt-v2v")
    parser.add_argument("--world", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--guest", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.seed = random.randrange(10**6) if options.seed is None else options.seed
    return options


def _guest() -> Path:
    built = subprocess.run(
        [ROOT / "scripts" / "build-guest", "--quick"], check=True, stdout=subprocess.PIPE, text=True
    )
    return Path(built.stdout.strip()) / "root.qcow2"


async def _run_world(options: argparse.Namespace) -> Report:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    scale = 1.0 if options.full else SHORT_SCALE
    async with running_world(options.world, seed=options.seed, scale=scale, guest=options.guest) as world:
        rounds = Rounds(world, guest=options.guest, real_every=options.real_every)
        try:
            await rounds.run(options.fault or sorted(FAULTS), options.rounds)
        finally:
            LOGS.mkdir(parents=True, exist_ok=True)
            shutil.copy(world.log, LOGS / f"{options.world}-{options.seed}.log")
    return rounds.report


def _run_worlds(options: argparse.Namespace) -> Report:
    """One process a world, so that none waits for another's."""
    whole = Report()
    with tempfile.TemporaryDirectory(prefix="chaos-reports-") as directory:
        started = [_start_world(options, number, Path(directory)) for number in range(options.worlds)]
        try:
            for process, report in started:
                status = process.wait()
                if status == 0:
                    whole.add(Report.from_json(json.loads(report.read_text())))
                else:
                    whole.blame("lost", [f"a world ended with status {status}: see above"])
        finally:
            for process, _ in started:
                process.terminate()
                process.wait()
    return whole


def _start_world(
    options: argparse.Namespace, number: int, directory: Path
) -> "tuple[subprocess.Popen[bytes], Path]":
    kind, report = KINDS[number % len(KINDS)], directory / f"{number}.json"
    rounds = options.rounds // options.worlds + (number < options.rounds % options.worlds)
    words = ["--world", kind, "--report", str(report), "--rounds", str(rounds)]
    words += ["--seed", str(options.seed + number), "--real-every", str(options.real_every)]
    words += ["--full"] if options.full else []
    words += ["--guest", str(options.guest)] if options.guest else []
    words += [word for name in options.fault or [] for word in ("--fault", name)]
    print(f"world {number}: {kind}, {rounds} rounds, seed {options.seed + number}", flush=True)
    return subprocess.Popen([sys.executable, "-m", "tests.chaos", *words], cwd=ROOT), report


if __name__ == "__main__":
    sys.exit(main())
