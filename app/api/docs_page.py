"""`/docs`: the OpenAPI document for people, with nothing that would be loaded from elsewhere."""

from importlib.resources import as_file, files
from typing import Final

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from app.api import openapi

PATH: Final = "/docs"
ASSETS: Final = f"{PATH}/assets"
PACKAGE: Final = "fastapi_offline"
"""Ships Swagger UI; an operator's network may have no way to where it is usually loaded from."""


def install(app: FastAPI) -> None:
    """Serve the page and its assets."""
    with as_file(files(PACKAGE) / "static") as directory:
        app.mount(ASSETS, StaticFiles(directory=directory))

    @app.get(PATH, include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        # Behind a proxy that serves us below a path of its own, that path comes first.
        root = str(request.scope.get("root_path", ""))
        return get_swagger_ui_html(
            title=app.title,
            openapi_url=f"{root}{openapi.PATH}",
            swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
            swagger_ui_parameters={"docExpansion": "none", "filter": True},
        )
