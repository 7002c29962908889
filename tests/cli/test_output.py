"""Problems as people read them."""

from app.cli.output import problem_lines


def test_a_problem_is_told_line_by_line_with_its_hint() -> None:
    problem = {
        "title": "No operating system was found on the disks",
        "code": "no_os_found",
        "detail": "inspection could not detect it.\n\nNo root device found.",
        "hint": "Check the disks.",
        "errors": [{"pointer": "/vm/name", "detail": "Too long."}],
    }
    assert problem_lines(problem) == [
        "Error: No operating system was found on the disks (no_os_found)",
        "  inspection could not detect it.",
        "  No root device found.",
        "  /vm/name: Too long.",
        "  Hint: Check the disks.",
    ]


def test_what_the_detail_says_already_is_not_said_again() -> None:
    fault = {"pointer": "/source/path", "detail": "The path must be absolute"}
    problem = {
        "title": "T",
        "code": "c",
        "detail": "/source/path: The path must be absolute",
        "errors": [fault],
    }
    assert problem_lines(problem) == ["Error: T (c)", "  /source/path: The path must be absolute"]
