"""Services made with FastAPI."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Optional

import retell as sdk
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict
from retell import AsyncRetell, Retell
from retell.lib.webhook_auth import symmetric
from retell.types import AgentListResponse, CallResponse, PhoneCallResponse

retell = Retell(api_key=os.environ["RETELL_API_KEY"])


def signed(body: str) -> dict[str, str]:
    return {"x-retell-signature": symmetric["sign"](body, os.environ["RETELL_API_KEY"])}


def program_a_webhook() -> None:
    app = FastAPI()
    seen: list[str] = []

    @app.post("/webhook")
    async def handle(request: Request) -> JSONResponse:
        try:
            post_data = await request.json()
            valid = retell.verify(
                json.dumps(post_data, separators=(",", ":"), ensure_ascii=False),
                api_key=str(os.environ["RETELL_API_KEY"]),
                signature=str(request.headers.get("X-Retell-Signature")),
            )
            if not valid:
                return JSONResponse(status_code=401, content={"message": "Unauthorized"})
            call = PhoneCallResponse(**post_data["call"])
            if post_data["event"] == "call_ended":
                seen.append(f"{call.call_id} {call.disconnection_reason} {call.duration_ms}")
            return JSONResponse(status_code=200, content={"received": True})
        except Exception as err:
            print(f"Error in webhook: {err}")
            return JSONResponse(status_code=500, content={"message": "Internal Server Error"})

    body = {
        "event": "call_ended",
        "call": {
            "call_id": "call_1", "call_type": "phone_call", "agent_id": "a", "agent_version": 1, "call_status": "ended",
            "direction": "outbound", "from_number": "+14155550100", "to_number": "+14155550101",
            "disconnection_reason": "user_hangup", "duration_ms": 1200,
            "call_analysis": {"call_summary": "Grüße", "custom_analysis_data": {"day": "Monday"}}, "something_new": {"a": 1},
        },
    }  # fmt: skip
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    tester = TestClient(app)
    assert tester.post("/webhook", content=text.encode(), headers=signed(text)).status_code == 200
    assert tester.post("/webhook", content=text.encode(), headers=signed(text + " ")).status_code == 401
    old = symmetric["sign"](text, os.environ["RETELL_API_KEY"], int(time.time() * 1000) - 600_000)
    assert tester.post("/webhook", content=text.encode(), headers={"x-retell-signature": old}).status_code == 401
    assert tester.post("/webhook", content=text.encode(), headers={"x-retell-signature": "wrong"}).status_code == 401
    assert seen == ["call_1 user_hangup 1200"]


class Placed(BaseModel):
    success: bool
    call: PhoneCallResponse
    note: Optional[str] = None


class Wanted(BaseModel):
    to_number: str
    retell_llm_dynamic_variables: Optional[dict[str, Any]] = None
    metadata: Optional[dict[str, Any]] = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncRetell(api_key=os.environ["RETELL_API_KEY"]) as client:
        app.state.retell = client
        yield


def client_of(request: Request) -> AsyncRetell:
    client: AsyncRetell = request.app.state.retell
    return client


Client = Annotated[AsyncRetell, Depends(client_of)]


def program_an_api_of_ones_own() -> None:
    router = APIRouter(prefix="/calls")

    @router.post("", response_model=Placed)
    async def place(wanted: Wanted, client: Client) -> Any:
        call = await client.call.create_phone_call(from_number="+14155550100", **wanted.model_dump(exclude_none=True))
        return {"success": True, "call": call}

    @router.get("/{call_id}", response_model=CallResponse)
    async def look(call_id: str, client: Client) -> CallResponse:
        try:
            return await client.call.retrieve(call_id)
        except (sdk.NotFoundError, sdk.UnprocessableEntityError) as error:
            raise HTTPException(404, str(error)) from error
        except sdk.APIStatusError as error:
            raise HTTPException(error.status_code, error.message) from error

    @router.get("/{call_id}/loose")
    async def loose(call_id: str, client: Client):  # type: ignore[no-untyped-def]
        return {"success": True, "call": await client.call.retrieve(call_id)}

    @router.get("")
    async def agents(client: Client) -> AgentListResponse:
        return await client.agent.list()

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    llm = retell.llm.create(general_prompt="You call.")
    agent = retell.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo", agent_name="A")
    retell.phone_number.import_(
        phone_number="+14155550100", termination_uri="a.pstn.twilio.com", outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}]
    )
    with TestClient(app) as tester:
        placed = tester.post("/calls", json={"to_number": "+14155550101", "metadata": {"a": 1}}).json()
        assert placed["success"] is True
        assert placed["call"]["to_number"] == "+14155550101"
        call_id = placed["call"]["call_id"]
        assert tester.get(f"/calls/{call_id}").json()["metadata"] == {"a": 1}
        assert tester.get(f"/calls/{call_id}/loose").json()["call"]["call_id"] == call_id
        assert tester.get("/calls/call_unknown").status_code == 404
        assert [item["agent_name"] for item in tester.get("/calls").json()["items"]] == ["A"]
        assert "/calls/{call_id}" in tester.get("/openapi.json").json()["paths"]
        assert tester.post("/calls", json={}).status_code == 422


class Stored(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    id: int
    call: PhoneCallResponse
    others: list[PhoneCallResponse] = []


def program_responses_in_models_of_pydantic() -> None:
    raw = {
        "call_id": "call_1", "call_type": "phone_call", "agent_id": "a", "agent_version": 0, "call_status": "registered",
        "direction": "outbound", "from_number": "+14155550100", "to_number": "+14155550101",
    }  # fmt: skip
    stored = Stored(id=1, call=PhoneCallResponse.model_validate(raw), others=[PhoneCallResponse(**raw)])
    dumped = stored.model_dump(mode="json", exclude_none=True)
    assert dumped["call"]["call_id"] == "call_1"
    assert Stored.model_validate_json(stored.model_dump_json()).others[0].to_number == "+14155550101"
    assert Stored.model_validate({"id": 2, "call": raw}).call.from_number == "+14155550100"
    assert "call" in Stored.model_json_schema()["properties"]
