"""Reads a Dockerfile, and carries its steps out in a chroot where no Docker engine runs."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

BASE_PACKAGES = "python3,python3-venv,ca-certificates,passwd,python3-dev"
"""What the base image has of what the steps use."""
REGISTRY_FILES = (
    "/etc/apt",
    "/etc/pip.conf",
    "/etc/ssl",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/usr/share/keyrings",
)
"""How this machine reaches package registries; a build host has its own way."""
STEP_SECONDS = 900


@dataclass(frozen=True)
class Step:
    """One instruction: `RUN`, `COPY`, … and the rest of its line, continuation lines joined."""

    name: str
    text: str

    def words(self) -> list[str]:
        """The exec form's list, or the words of the line."""
        words: list[str] = json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)
        return words


@dataclass(frozen=True)
class Stage:
    base: str
    name: str
    steps: tuple[Step, ...]

    def last(self, name: str) -> Step:
        return [step for step in self.steps if step.name == name][-1]

    def all(self, name: str) -> list[Step]:
        return [step for step in self.steps if step.name == name]


def read_stages(text: str) -> list[Stage]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in joined.splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            stages.append(Stage(base, alias, ()))
        else:
            before = stages[-1]
            stages[-1] = Stage(before.base, before.name, (*before.steps, Step(name, rest.strip())))
    return stages


def make_base(root: Path) -> None:
    """A Debian of the base image's release, with the machine's way to its package registries."""
    sources = next(
        path
        for path in ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
        if Path(path).is_file()
    )
    _run(["mmdebstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm", str(root), sources])
    for name in REGISTRY_FILES:
        if Path(name).exists():
            copy_tree(Path(name), root / name[1:])
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)


def copy_tree(source: Path, target: Path) -> None:
    """All of it, device nodes and owners too, over what is there."""
    _run(
        [
            "cp",
            "--archive",
            "--force",
            "--remove-destination",
            "--no-target-directory",
            str(source),
            str(target),
        ]
    )


@dataclass
class Chroot:
    """A container as far as a chroot goes: its files, environment, directory and user."""

    root: Path
    context: Path
    others: dict[str, Path] = field(default_factory=dict)
    environment: dict[str, str] = field(
        default_factory=lambda: {
            "PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
            "HOME": "/tmp",
        }
    )
    directory: str = "/"
    user: str = "root"

    def build(self, stage: Stage) -> None:
        for step in stage.steps:
            self._take(step)

    def _take(self, step: Step) -> None:
        if step.name == "RUN":
            self.run(step.text, build=True)
        elif step.name == "COPY":
            self._copy(step.words())
        elif step.name == "ENV":
            self.environment |= dict(word.split("=", 1) for word in step.words())
        elif step.name == "USER":
            self.user = step.text
        elif step.name == "WORKDIR":
            self.directory = step.text
            (self.root / step.text[1:]).mkdir(parents=True, exist_ok=True)

    def _copy(self, words: list[str]) -> None:
        origin = self.context
        if words[0].startswith("--from="):
            origin, words = self.others[words[0].removeprefix("--from=")], words[1:]
        *names, target = words
        place = self.root / (Path(self.directory) / target).relative_to("/")
        for name in names:
            source = origin / name.lstrip("/")
            if source.is_dir():
                shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
            else:
                to = place / source.name if target.endswith("/") else place
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, to)

    def run(self, command: str, *, build: bool = False) -> str:
        """Run a shell line inside, in a network of its own unless it is a step of the build."""
        environment = self.environment | (_registry_environment() if build else {})
        prepare = (
            'mount --bind /proc "$ROOT/proc" && mount --bind /dev "$ROOT/dev" && (ip link set lo up || true)'
            ' && exec chroot --userspec="$ACCOUNT" "$ROOT" /usr/bin/env -C "$PLACE" /bin/sh -c "$LINE"'
        )
        apart = ["unshare", "--mount", "--pid", "--fork", *([] if build else ["--net"])]
        inside = {"ROOT": str(self.root), "ACCOUNT": f"{self.user}:{self.user}", "PLACE": self.directory}
        return _run([*apart, "/bin/sh", "-c", prepare], environment | inside | {"LINE": command})


def _registry_environment() -> dict[str, str]:
    """The variables that tell pip where packages are on this machine."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}


def _run(argv: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=STEP_SECONDS, check=False
    )
    assert done.returncode == 0, (
        f"{argv} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done.stdout


def matches(context: Path, name: str) -> list[str]:
    """What a COPY of this name finds in the build context."""
    return [str(path.relative_to(context)) for path in context.glob(name)]
