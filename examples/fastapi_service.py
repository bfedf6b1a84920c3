"""A service behind a Retell agent: it takes events, decides who answers inbound calls, and looks up orders while a call goes on.

    RETELL_API_KEY=... uvicorn examples.fastapi_service:create_app --factory --port 8000

In Retell, `https://<your host>/retell/events` is then the webhook of the agent or the account, `https://<your host>/retell/inbound` the
inbound webhook of a phone number, and `https://<your host>/retell/functions/lookup_order` the URL of a custom function.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from fastapi import FastAPI

from retell_async import webhooks

log = logging.getLogger("service")

CUSTOMERS: Mapping[str, str] = {"+14155550100": "Ann"}
BLOCKED = frozenset({"+14155550199"})
ORDERS: Mapping[str, Mapping[str, str]] = {"A7": {"status": "on its way", "arrives": "Thursday"}}


def create_app(api_key: str | None = None) -> FastAPI:
    """The service. The API key is the one with the webhook badge; by default it is the environment's."""
    router = webhooks.Router(api_key or os.environ["RETELL_API_KEY"])
    summaries: dict[str, str | None] = {}

    @router.on("call_ended")
    async def call_ended(event: webhooks.CallEnded) -> None:
        log.info("call %s ended: %s", event.call.call_id, event.call.disconnection_reason)

    @router.on("call_analyzed")
    async def call_analyzed(event: webhooks.CallAnalyzed) -> None:
        analysis = event.call.call_analysis
        summaries[event.call.call_id] = analysis.call_summary if analysis is not None else None

    @router.inbound
    async def who_answers(request: webhooks.InboundRequest) -> webhooks.InboundAnswer:
        if request.from_number in BLOCKED:
            return request.reject()
        return request.accept(dynamic_variables={"customer_name": CUSTOMERS.get(request.from_number, "")})

    @router.function("lookup_order")
    async def lookup_order(function: webhooks.FunctionCall) -> object:
        order = ORDERS.get(function.args["order_id"])
        return order if order is not None else "There is no such order."

    app = FastAPI()
    app.mount("/retell", router)

    @app.get("/summaries")
    async def list_summaries() -> dict[str, str | None]:
        return summaries

    return app
