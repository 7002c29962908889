"""Text from outside on a terminal."""

from app.cli.text import columns, facts, safe


def test_nothing_can_steer_the_terminal() -> None:
    assert safe("a\x1b[2Jb\rc\u202ed\x07") == "a\ufffd[2Jb\ufffdc\ufffdd\ufffd"


def test_columns_align_also_wide_characters_and_cut_nothing() -> None:
    assert columns(("NAME", "X"), [("東京", 1), ("a" * 90, 2)]) == [
        "NAME" + " " * 88 + "X",
        "東京" + " " * 88 + "1",
        "a" * 90 + "  2",
    ]


def test_facts_that_are_not_known_are_left_out() -> None:
    assert facts([("id", 1), ("path", None), ("name", "b\nc")]) == ["id:   1", "name: b\ufffdc"]
