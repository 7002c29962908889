"""virt-v2v's messages, as its sources word them, each with its code."""

import pytest

from app.errors import problem_classes
from app.models.events import Severity
from app.v2v.failures import CATALOGUE, LONGEST_DETAIL, explain
from app.v2v.output import Said
from tests.support.logs import DATA, log, read

FOOTER = (
    "\n\nIf reporting bugs, run virt-v2v with debugging enabled and include the complete output:"
    "\n\n  virt-v2v -v -x [...]"
)
MESSAGES = [
    (said.replace("\\n", "\n"), code)
    for line in (DATA / "virt-v2v-messages.tsv").read_text(encoding="utf-8").splitlines()
    for code, said in [line.split("\t")]
]
"""As virt-v2v 2.x and the programs that it runs word them, each with the code that it is to have."""


@pytest.mark.parametrize(("said", "code"), MESSAGES)
def test_each_message_has_its_code_and_keeps_its_words(said: str, code: str) -> None:
    problem = explain([said + FOOTER], 1).to_problem()
    assert (problem.code, problem.detail, problem.status) == (code, said, 422)
    assert problem.hint


def test_every_code_is_tried() -> None:
    assert {kind.code for kind in CATALOGUE} | {"conversion_failed"} == {code for _, code in MESSAGES}


def test_every_code_is_its_own_and_listed() -> None:
    codes = [kind.code for kind in CATALOGUE]
    assert len(set(codes)) == len(codes)
    assert {*codes, "conversion_killed"} <= {kind.code for kind in problem_classes()}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("2.2.0-no-os-found", "no_os_found"),
        ("2.2.0-missing-disk", "source_vanished"),
        ("2.2.0-no-room", "host_no_space"),
    ],
)
def test_recorded_errors_are_explained(name: str, code: str) -> None:
    said = [event for event in read(log(name)).events if isinstance(event, Said)]
    problem = explain([one.text for one in said if one.severity is Severity.ERROR], 1).to_problem()
    assert problem.code == code
    assert "reporting bugs" not in problem.detail


GOES_AWAY = {"source_unreachable", "source_busy", "source_mount_failed", "conversion_killed"}


@pytest.mark.parametrize(("said", "code"), MESSAGES)
def test_only_what_can_go_away_by_itself_is_called_so(said: str, code: str) -> None:
    assert explain([said], 1).goes_away == (code in GOES_AWAY)


@pytest.mark.parametrize(
    "lasting",
    [
        "ssh: root@xen.example: Permission denied (publickey,password).",
        "curl: (22) The requested URL returned error: 401 Unauthorized",
        "libguestfs error: /out/vm-sda: No space left on device",
        "access: Permission denied: /root/x.img",
        "inspection could not detect the source guest (or physical machine).",
    ],
)
def test_a_lasting_cause_is_not_hidden_by_the_connection_that_broke_of_it(lasting: str) -> None:
    for said in ([lasting, BROKEN], [BROKEN, lasting]):
        assert not explain(said, 1).goes_away


BROKEN = "nbdkit: ssh[1]: error: Connection reset by peer"


def test_silence_is_explained_by_how_it_ended() -> None:
    assert explain([], 1).detail == "virt-v2v ended with exit code 1 and said nothing about it."
    killed = explain(["", " \n"], -9)
    assert (killed.code, killed.detail) == (
        "conversion_killed",
        "virt-v2v was ended by signal 9 and said nothing about it.",
    )


def test_of_too_many_words_the_first_and_the_last_ones_stay() -> None:
    detail = explain(["the cause", *["and so on"] * 1000, "the verdict"], 1).detail
    assert LONGEST_DETAIL - 2 <= len(detail) <= LONGEST_DETAIL
    assert detail.startswith("the cause\n")
    assert "\n…\n" in detail
    assert detail.endswith("\nthe verdict")


def test_a_detail_holds_nothing_that_misleads() -> None:
    assert explain(["a\x1b[31m\0b\u202ec\ud800d\r\n\n\n\ne"], 1).detail == "a [31m b c d \n\ne"
