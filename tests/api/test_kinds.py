"""`/v1/kinds`: what can be chosen, and the lists of codes."""

import re
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from app.models.state import StepName
from tests.support.api import Api

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


@pytest.fixture
async def kinds(api: Api) -> dict[str, Any]:
    shown: dict[str, Any] = (await api.viewer.get("/v1/kinds")).json()
    return shown


async def test_every_code_of_the_documentation_is_listed(kinds: dict[str, Any]) -> None:
    table = (DOCS / "problems.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \| (\d+) \|", table, re.MULTILINE)
    listed = [(problem["code"], str(problem["status"])) for problem in kinds["problems"]]
    assert sorted(documented) == sorted(listed)
    assert ("no_os_found", "422") in listed


async def test_the_steps_are_in_their_order_with_the_page_s_numbers(kinds: dict[str, Any]) -> None:
    assert [step["name"] for step in kinds["steps"]] == list(StepName)
    numbers = [step["page_step"] for step in kinds["steps"]]
    assert numbers == sorted(numbers)
    assert numbers[-4:] == [8, 8, 9, 10]


async def test_kinds_come_with_the_schema_of_what_they_take(kinds: dict[str, Any]) -> None:
    sources = {kind["kind"]: kind["json_schema"] for kind in kinds["sources"]}
    assert {"disk", "libvirt_xml", "ova"} <= sources.keys()
    OAS31Validator(sources["ova"]).validate({"kind": "ova", "path": "/srv/web.ova"})
    destinations = {kind["kind"]: kind["json_schema"] for kind in kinds["destinations"]}
    assert {"directory", "ovirt_data", "null"} <= destinations.keys()
    assert not OAS31Validator(destinations["directory"]).is_valid({})


async def test_concerns_say_what_to_do(kinds: dict[str, Any]) -> None:
    assert [concern["code"] for concern in kinds["concerns"] if not concern["hint"]] == []
    assert {"info", "warning", "critical"} >= {concern["severity"] for concern in kinds["concerns"]}


async def test_kinds_are_for_those_who_have_a_token(api: Api) -> None:
    assert (await api.nobody.get("/v1/kinds")).status_code == 401
