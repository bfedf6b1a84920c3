"""Raw and streamed answers, and requests by verb and path."""

from __future__ import annotations

from typing import Any, cast

import httpx
import retell
from pydantic import BaseModel as PydanticModel
from retell import AsyncRetell, BaseModel, Retell
from retell.types import LlmResponse

client = Retell()


def program_raw_answers() -> None:
    response = client.llm.with_raw_response.create(general_prompt="Raw.")
    llm = response.parse()
    assert isinstance(llm, LlmResponse)
    assert (response.status_code, response.http_response.status_code) == (201, 201)
    assert response.headers["content-type"].startswith("application/json")
    assert response.http_request.method == "POST"
    assert str(response.url).endswith("/create-retell-llm")
    assert response.retries_taken == 0
    assert response.http_version.startswith("HTTP/")
    assert response.is_closed
    assert response.elapsed.total_seconds() >= 0
    listed = client.with_raw_response.agent.list(limit=1)
    assert listed.parse().items == []
    page = client.agent.with_raw_response.list()
    assert page.parse().has_more is False


def program_streamed_answers() -> None:
    with client.llm.with_streaming_response.create(general_prompt="Streamed.") as response:
        assert response.headers.get("content-type")
        text = "".join(response.iter_text())
    assert '"general_prompt"' in text
    with client.agent.with_streaming_response.list() as response:
        assert response.json() is not None
    with client.voice.with_streaming_response.list() as response:
        for line in response.iter_lines():
            assert line
        assert response.status_code == 200


async def program_both_with_await() -> None:
    async with AsyncRetell() as own:
        response = await own.llm.with_raw_response.create(general_prompt="Raw.")
        llm = await response.parse()
        assert llm.general_prompt == "Raw."
        assert (await response.json())["llm_id"] == llm.llm_id if callable(getattr(response, "json", None)) else True
        async with own.llm.with_streaming_response.retrieve(llm.llm_id) as streamed:
            body = await streamed.read()
            assert llm.llm_id.encode() in body
        async with own.agent.with_streaming_response.list() as streamed:
            pieces = [piece async for piece in streamed.iter_bytes(64)]
            assert b"".join(pieces).startswith(b"{")
        async with own.with_streaming_response.voice.list() as streamed:
            parsed = await streamed.parse()
            assert len(parsed) > 0


class Named(BaseModel):
    llm_id: str
    general_prompt: str | None = None


class Plain(PydanticModel):
    llm_id: str


def program_requests_by_path() -> None:
    made = client.post("/create-retell-llm", body={"general_prompt": "By path."}, cast_to=Named)
    assert isinstance(made, Named)
    assert made.general_prompt == "By path."
    raw = client.get(f"/get-retell-llm/{made.llm_id}", cast_to=httpx.Response)
    assert raw.json()["llm_id"] == made.llm_id
    found = client.get(f"/get-retell-llm/{made.llm_id}", cast_to=cast(Any, dict[str, object]))
    assert found["general_prompt"] == "By path."
    changed = client.patch(f"/update-retell-llm/{made.llm_id}", body={"general_prompt": "New."}, cast_to=object)
    assert cast("dict[str, Any]", changed)["general_prompt"] == "New."
    client.delete(f"/delete-retell-llm/{made.llm_id}", cast_to=retell.NoneType)
    listed = client.get("/list-voices", cast_to=cast(Any, list[Any]), options={"headers": {"X-Trace": "1"}, "params": {"a": "b"}})
    assert len(listed) > 0
