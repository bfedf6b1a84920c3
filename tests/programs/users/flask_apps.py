"""Services made with Flask, and retries of tenacity."""

from __future__ import annotations

import json
import os
from typing import Any

import retell
from flask import Flask, Response, abort, jsonify, request
from retell import AsyncRetell, Retell
from retell.lib import webhook_auth
from tenacity import AsyncRetrying, retry, retry_if_exception_type, stop_after_attempt, wait_none

client = Retell(api_key=os.environ["RETELL_API_KEY"])


def program_views() -> None:
    app = Flask(__name__)

    @app.post("/call")
    def call() -> tuple[Response, int]:
        data = request.get_json()
        try:
            placed = client.call.create_phone_call(from_number=data["from"], to_number=data["to"])
        except retell.BadRequestError as e:
            return jsonify({"error": str(e), "body": e.body}), 400
        except retell.APIError as e:
            return jsonify({"error": e.message}), 502
        return jsonify({"call_id": placed.call_id, "call": placed.model_dump()}), 201

    @app.get("/agents")
    def agents() -> Response:
        return jsonify([agent.to_dict() for agent in client.agent.list().items or []])

    @app.post("/hook")
    def hook() -> tuple[str, int]:
        signature = request.headers.get("x-retell-signature", "")
        if not webhook_auth.verify(request.get_data(as_text=True), os.environ["RETELL_API_KEY"], signature):
            abort(401)
        return request.get_json()["event"], 200

    llm = client.llm.create(general_prompt="You call.")
    agent = client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo", agent_name="A")
    client.phone_number.import_(
        phone_number="+14155550100", termination_uri="a.pstn.twilio.com", outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}]
    )
    tester = app.test_client()
    placed = tester.post("/call", json={"from": "+14155550100", "to": "+14155550101"})
    assert placed.status_code == 201
    assert placed.get_json()["call"]["call_id"] == placed.get_json()["call_id"]
    refused = tester.post("/call", json={"from": "+14155550999", "to": "nobody"})
    assert refused.status_code in (400, 502)
    assert refused.get_json()["error"]
    assert tester.get("/agents").get_json()[0]["agent_name"] == "A"
    body = json.dumps({"event": "call_started"})
    signature = webhook_auth.symmetric["sign"](body, os.environ["RETELL_API_KEY"])
    headers = {"x-retell-signature": signature}
    assert tester.post("/hook", data=body, headers=headers, content_type="application/json").data == b"call_started"
    assert tester.post("/hook", data=body + " ", headers=headers, content_type="application/json").status_code == 401


tries: list[str] = []


@retry(retry=retry_if_exception_type(retell.UnprocessableEntityError), stop=stop_after_attempt(3), wait=wait_none(), reraise=True)
def found(call_id: str) -> Any:
    tries.append(call_id)
    return client.call.retrieve(call_id)


@retry(retry=retry_if_exception_type(retell.APIStatusError), stop=stop_after_attempt(2), wait=wait_none(), reraise=True)
async def found_later(own: AsyncRetell, agent_id: str) -> str | None:
    tries.append(agent_id)
    return (await own.agent.retrieve(agent_id)).agent_name


def program_tenacity() -> None:
    tries.clear()
    try:
        found("call_unknown")
    except retell.APIStatusError as error:
        assert error.status_code == 422
    assert tries == ["call_unknown"] * 3


async def program_tenacity_with_await() -> None:
    tries.clear()
    async with AsyncRetell() as own:
        try:
            await found_later(own, "agent_unknown")
        except retell.APIStatusError:
            pass
        assert tries == ["agent_unknown"] * 2
        listing = retry(stop=stop_after_attempt(2), wait=wait_none())(own.llm.retrieve)
        llm = await own.llm.create(general_prompt="Once.")
        assert (await listing(llm.llm_id)).general_prompt == "Once."
        async for attempt in AsyncRetrying(stop=stop_after_attempt(2), wait=wait_none(), reraise=True):
            with attempt:
                await own.concurrency.retrieve()
