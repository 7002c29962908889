"""The Dockerfile: what it promises, and its steps carried out in a chroot."""

import shutil
from pathlib import Path

import pytest

from tests.support.dockerfile import Chroot, Stage, copy_tree, make_base, matches, read_stages

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = ("app", "migrations", "requirements", "pyproject.toml", "README.md", "LICENSE")
UNTIL_HEALTHY = """
{command} & service=$!
for _ in $(seq 60); do {check} && break; sleep 0.5; done
{check} && id -un && ls -l /data/admin-token && python -c 'import app.db; print(app.db.MIGRATIONS)'
healthy=$?
kill -TERM $service; wait $service; echo "ended with $?"
exit $healthy
"""


def stages() -> list[Stage]:
    return read_stages((ROOT / "Dockerfile").read_text())


def test_it_does_not_run_as_root() -> None:
    final = stages()[-1]
    assert final.last("USER").text == "v2v-import"
    names = [step.name for step in final.steps]
    assert "RUN" not in names[names.index("USER") :]


def test_it_keeps_its_data_in_a_volume_and_has_a_health_check() -> None:
    final = stages()[-1]
    assert final.last("VOLUME").text == "/data"
    assert final.last("HEALTHCHECK").text.endswith('CMD ["v2v-import", "health"]')
    assert final.last("ENTRYPOINT").words() == ["v2v-import"]
    assert final.last("CMD").words() == ["up", "--host", "0.0.0.0", "--data-dir", "/data"]  # noqa: S104


def test_everything_that_comes_from_outside_is_checked_by_its_hash() -> None:
    installs = [
        part
        for stage in stages()
        for step in stage.all("RUN")
        for part in step.text.split("&&")
        if "pip install" in part
    ]
    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-index" in install for install in installs)


def test_every_file_it_copies_is_in_the_build_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(CONTEXT)
    for step in stages()[0].all("COPY"):
        for name in step.words()[:-1]:
            assert matches(ROOT, name), name
            assert name.split("/")[0] in CONTEXT


def test_what_builds_the_wheel_is_locked_as_in_the_development_environment() -> None:
    locked = (ROOT / "requirements" / "dev.txt").read_text()
    for line in (ROOT / "requirements" / "build.txt").read_text().splitlines():
        assert line in locked


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_its_steps_build_a_service_that_starts_and_is_healthy(tmp_path: Path) -> None:
    context = tmp_path / "context"
    for name in CONTEXT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        context.mkdir(exist_ok=True)
        copy(ROOT / name, context / name)
    base = tmp_path / "base"
    make_base(base)
    build, final = stages()
    building = Chroot(tmp_path / "build", context)
    copy_tree(base, building.root)
    building.build(build)
    image = Chroot(base, context, {build.name: building.root})
    image.build(final)
    command = ["v2v-import", *final.last("CMD").words()]
    told = image.run(UNTIL_HEALTHY.format(command=" ".join(command), check="v2v-import health"))
    assert "v2v-import v2v-import" in told
    assert "-rw-------" in told
    assert "/opt/v2v-import/lib/" in told
    assert "ended with 0" in told
