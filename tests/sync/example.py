"""A `Retell` whose server is a function."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx

from retell_async import Retell

from ..engine.example import BASE_URL, KEY

__all__ = ["LISTED", "PAGES", "answering", "client_of", "loops", "pages"]

LISTED = ["call_0", "call_1", "call_2"]
PAGES = len(LISTED)


def client_of(serve: Callable[[httpx.Request], Any], **settings: Any) -> Retell:
    """Each request is sent once unless `max_retries` is given. The function may be a coroutine function."""
    settings = {"api_key": KEY, "base_url": BASE_URL, "max_retries": 0, **settings}
    return Retell(http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve)), **settings)


def answering(status: int = 200, **body: Any) -> Retell:
    """A client of a server that gives one answer, whatever it is asked."""
    return client_of(lambda _: httpx.Response(status, **body))


def pages(request: httpx.Request) -> httpx.Response:
    """A list of `LISTED`, one a page; any other request is answered with one call."""
    call = {"call_type": "web_call", "call_status": "ended"}
    if "list-calls" not in request.url.path:
        return httpx.Response(200, json={**call, "call_id": "call_0", "access_token": "t"})
    number = int(json.loads(request.content).get("pagination_key", "key_0").removeprefix("key_"))
    more = number + 1 < PAGES
    body = {"items": [{**call, "call_id": LISTED[number]}], "has_more": more, **({"pagination_key": f"key_{number + 1}"} if more else {})}
    return httpx.Response(200, json=body)


def loops() -> list[threading.Thread]:
    """The threads of clients that are running."""
    return [thread for thread in threading.enumerate() if thread.name == "retell-async"]
