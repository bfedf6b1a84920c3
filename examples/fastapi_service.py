"""A service behind a Retell agent: it places calls and follows them, decides who answers inbound calls, and looks up orders in between.

To try it, one command starts it together with a sandbox, with no account and no network:

    python -m examples.fastapi_service --sandbox
    curl -X POST http://127.0.0.1:8000/calls -H 'content-type: application/json' -d '{"order_id": "A7", "to_number": "+14155550108"}'
    curl http://127.0.0.1:8000/calls

With an account, `RETELL_API_KEY` is the key with the webhook badge, and `FROM_NUMBER` a number of yours:

    RETELL_API_KEY=... FROM_NUMBER=+1... python -m examples.fastapi_service

In Retell, `https://<your host>/retell/events` is then the webhook of the agent or the account, `https://<your host>/retell/inbound` the
inbound webhook of a phone number, and `https://<your host>/retell/functions/lookup_order` the URL of a custom function.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from retell_async import APIError, AsyncRetell, OutcomeUnknownError, RateLimit, UnprocessableEntityError, webhooks

log = logging.getLogger("service")

HOST, PORT = "127.0.0.1", 8000
CUSTOMERS: Mapping[str, str] = {"+14155550100": "Ann"}
BLOCKED = frozenset({"+14155550199"})
ORDERS: Mapping[str, Mapping[str, str]] = {"A7": {"status": "on its way", "arrives": "Thursday"}}


class Order(BaseModel):
    """A call that is to be placed."""

    order_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
    to_number: str


class Followed(BaseModel):
    """What is known of a call. A real service keeps this in its database."""

    call_id: str
    status: str | None = None
    reason: str | None = None
    summary: str | None = None


class State(TypedDict):
    client: AsyncRetell


def get_client(request: Request) -> AsyncRetell:
    """The one client of the service, which its lifespan has opened."""
    client: AsyncRetell = request.state.client
    return client


Client = Annotated[AsyncRetell, Depends(get_client)]


def create_app(api_key: str | None = None, *, base_url: str | None = None, from_number: str | None = None) -> FastAPI:
    """The service. What is not given is the environment's."""
    key = api_key or os.environ["RETELL_API_KEY"]
    number = from_number or os.environ.get("FROM_NUMBER", "")
    router = webhooks.Router(key)
    calls: dict[str, Followed] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        # Who places a call through the service waits for it: so a limit is waited for only so long.
        async with AsyncRetell(key, base_url=base_url, rate_limit=RateLimit(max_wait=5)) as client, router:
            yield {"client": client}

    def follow(call_id: str) -> Followed:
        return calls.setdefault(call_id, Followed(call_id=call_id))

    @router.on("call_ended")
    async def call_ended(event: webhooks.CallEnded) -> None:
        followed = follow(event.call.call_id)
        followed.status, followed.reason = event.call.call_status, event.call.disconnection_reason
        log.info("call %s ended: %s", event.call.call_id, event.call.disconnection_reason)

    @router.on("call_analyzed")
    async def call_analyzed(event: webhooks.CallAnalyzed) -> None:
        analysis = event.call.call_analysis
        follow(event.call.call_id).summary = analysis.call_summary if analysis is not None else None

    @router.inbound
    async def who_answers(request: webhooks.InboundRequest) -> webhooks.InboundAnswer:
        if request.from_number in BLOCKED:
            return request.reject()
        return request.accept(dynamic_variables={"customer_name": CUSTOMERS.get(request.from_number, "")})

    @router.function("lookup_order")
    async def lookup_order(function: webhooks.FunctionCall) -> object:
        order = ORDERS.get(function.args["order_id"])
        return order if order is not None else "There is no such order."

    app = FastAPI(lifespan=lifespan)
    app.mount("/retell", router)

    @app.exception_handler(APIError)
    async def not_answered(_: Request, error: APIError) -> JSONResponse:
        return JSONResponse({"detail": error.message}, 502)

    @app.post("/calls", status_code=202)
    async def place(order: Order, client: Client) -> Followed:
        try:
            # The same order within an hour is the same call, so that whoever sends it twice calls nobody twice.
            call = await client.call.create_phone_call(
                from_number=number,
                to_number=order.to_number,
                idempotency_key=f"order-{order.order_id}",
                metadata={"order_id": order.order_id},
                retell_llm_dynamic_variables={"order_id": order.order_id},
                deadline=20.0,
            )
        except OutcomeUnknownError as error:
            raise HTTPException(504, "nobody knows whether the call was placed: send the same order again") from error
        log.info("call %s placed for order %s", call.call_id, order.order_id)
        return follow(call.call_id)

    @app.get("/calls")
    async def list_calls() -> list[Followed]:
        return [*calls.values()]

    @app.get("/calls/{call_id}/transcript")
    async def transcript(call_id: str, client: Client) -> str | None:
        try:
            return (await client.call.retrieve(call_id)).transcript
        except UnprocessableEntityError as error:  # how the API answers unknown ids of calls
            raise HTTPException(404, "there is no such call") from error

    return app


async def main() -> None:
    parser = argparse.ArgumentParser(description="A service that places calls and follows them.")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--sandbox", action="store_true", help="bring a sandbox along, ten times as fast as real time")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not asked.sandbox:
        await listen(create_app(), asked.port)
        return
    from retell_async.sandbox import RunningClock, Sandbox, Settings, create_fixtures, serve

    key = "key_sandbox"
    settings = Settings(api_key=key, webhook_url=f"http://{HOST}:{asked.port}/retell/events")
    async with serve(Sandbox(settings, RunningClock(speed=10))) as served:
        number = create_fixtures(served.sandbox).phone_number
        log.info("the sandbox and its page are on %s", served.url)
        await listen(create_app(key, base_url=served.url, from_number=number), asked.port)


async def listen(app: FastAPI, port: int) -> None:
    # Uvicorn's own lines go where those of the service go.
    await uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_config=None)).serve()


if __name__ == "__main__":
    asyncio.run(main())
