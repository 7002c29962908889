"""The HTTP client of a chaos run: asks until it is answered, and counts what should never be answered."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx

RETRY_SECONDS = 0.3
PATIENCE_SECONDS = 180
AWAY = frozenset({httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})


class Client:
    """A 5xx that isn't a 503 or 504, or one without a problem document, is kept in `broken_answers`."""

    def __init__(self, base_url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=30, trust_env=False)
        self.broken_answers: list[str] = []

    async def close(self) -> None:
        await self.http.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        """The answer's JSON. Raises AssertionError when it isn't a success in the end."""
        answer = await self.ask("GET", path, params=query)
        assert answer.is_success, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def post(self, path: str, body: Any) -> httpx.Response:
        """Sent with one idempotency key until it is answered: done once, however often that takes."""
        return await self.ask("POST", path, json=body, headers={"Idempotency-Key": uuid4().hex})

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    answer = await self.http.request(method, path, **options)
                except httpx.TransportError:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                if not answer.is_server_error:
                    return answer
                self._judge(method, path, answer)
                await asyncio.sleep(RETRY_SECONDS)

    def _judge(self, method: str, path: str, answer: httpx.Response) -> None:
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        if answer.status_code not in AWAY or not is_problem:
            self.broken_answers.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
