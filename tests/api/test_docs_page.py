"""`/docs` works where there is no internet."""

import re

import httpx

from tests.support.api import Api


async def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.nobody.get("/docs")
    assert page.status_code == httpx.codes.OK
    addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
    loaded = {first or second for first, second in addresses}
    assert len(loaded) == 4
    for address in loaded:
        assert address.startswith("/")
        assert (await api.nobody.get(address)).status_code == httpx.codes.OK


async def test_it_shows_documents_of_openapi_3_1(api: Api) -> None:
    script = (await api.nobody.get("/docs/assets/swagger-ui-bundle.js")).text
    assert "OpenAPI 3.1" in script or "openapi31" in script.lower()


async def test_behind_a_proxy_with_a_path_the_page_keeps_to_it(api: Api) -> None:
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=api.app, root_path="/v2v"), base_url="http://api.test"
    )
    async with client:
        text = (await client.get("/v2v/docs")).text
    assert "'/v2v/openapi.json'" in text
    assert '"/v2v/docs/assets/swagger-ui-bundle.js"' in text


async def test_an_asset_that_is_not_there_is_a_problem(api: Api) -> None:
    answer = await api.nobody.get("/docs/assets/../../pyproject.toml")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for path in ("nothing.js", "%2e%2e/core.py", "..%2f__init__.py"):
        answer = await api.nobody.get(f"/docs/assets/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
