"""Requests made by schemathesis from the document, valid ones and broken ones: no answer is outside of the document, none is a 5xx.

`SCHEMATHESIS_EXAMPLES` says how many of each kind there are for each operation.
"""

from __future__ import annotations

import os
from datetime import timedelta
from random import Random
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import schemathesis.openapi
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from schemathesis.transport.requests import REQUESTS_TRANSPORT  # how schemathesis writes bodies

from retell_async.sandbox.http.pipeline import receive
from retell_async.sandbox.openapi.document import packaged_document

from .checked import DOCUMENT, UNIVERSAL, Api, Json

pytestmark = [pytest.mark.soak, pytest.mark.parallel]

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {found.ok().definition.raw["operationId"]: found.ok() for found in cast("Any", SCHEMA).get_all_operations()}
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


class Account:
    """An account that has one of everything, whose time goes on with each request."""

    def __init__(self) -> None:
        self.api = api = Api()
        llm_id = api.llm()
        engine = {"type": "retell-llm", "llm_id": llm_id}
        voice = api.post("/create-agent", {"voice_id": "v", "response_engine": engine})["agent_id"]
        chat = api.post("/create-chat-agent", {"response_engine": engine})["agent_id"]
        number = api.number()
        node = {"id": "a", "type": "end"}
        flow = api.post("/create-conversation-flow", {"nodes": [node], "start_speaker": "agent"})
        component = api.post("/create-conversation-flow-component", {"name": "c", "nodes": [node]})
        case = {"response_engine": engine, "name": "n", "user_prompt": "p", "metrics": []}
        case_id = api.post("/create-test-case-definition", case)["test_case_definition_id"]
        batch = api.post("/create-batch-test", {"response_engine": engine, "test_case_definition_ids": [case_id]})
        batch_id = batch["test_case_batch_job_id"]
        self.known: Json = {
            "agent_id": [voice, chat],
            "llm_id": [llm_id],
            "from_number": [number],
            "to_number": ["+12015550100"],
            "phone_number": [number, "+12015550100"],
            "call_id": [api.call(number)["call_id"] for _ in range(2)],
            "chat_id": [api.post("/create-chat", {"agent_id": chat})["chat_id"] for _ in range(2)],
            "conversation_flow_id": [flow["conversation_flow_id"]],
            "conversation_flow_component_id": [component["conversation_flow_component_id"]],
            "contact_id": [api.post("/create-contact", {"phone_number": "+12015550100"})["contact_id"]],
            "app_id": [api.post("/create-app", {"type": "crm", "provider": "hubspot"})["app_id"]],
            "test_case_definition_id": [case_id],
            "test_case_batch_job_id": [batch_id],
            "test_case_job_id": [api.get(f"/v2/list-test-runs/{batch_id}")["items"][0]["test_case_job_id"]],
            "response_engine": [engine],
        }
        self._rng = Random(0)

    def ask(self, case: Any) -> httpx.Response:
        """Send a request, now and then with something in it that there is."""
        if self._rng.random() < 0.6:
            for holder in (case.path_parameters, case.body):
                if isinstance(holder, dict):
                    held = cast("Json", holder)
                    held.update({name: self._rng.choice(self.known[name]) for name in held if name in self.known})
        sent = requests.Request(**REQUESTS_TRANSPORT.serialize_case(case, base_url="http://sandbox")).prepare()
        body = sent.body or b""
        content = body.encode() if isinstance(body, str) else body
        url = urlsplit(sent.url or "")
        reply = receive(
            self.api.sandbox,
            sent.method or "",
            url.path,
            query=url.query,
            authorization="Bearer key",
            content_type=str(sent.headers.get("content-type", "")),
            content=content,
        ).finish()
        self.api.clock.advance(self._rng.choice((0, 0.5, 5, 60)))
        request = httpx.Request(sent.method or "", sent.url or "", content=content)
        answer = httpx.Response(reply.status or 0, content=reply.content, headers=dict(reply.headers), request=request)
        answer.elapsed = timedelta(0)
        return answer


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation_id", sorted(OPERATIONS))
def test_no_answer_is_outside_of_the_document(operation_id: str, mode: GenerationMode) -> None:
    account = Account()
    operation = OPERATIONS[operation_id]
    refuses = any(status >= 400 for status in packaged_document().routes[operation_id].statuses)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*cast("Any", HealthCheck)],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = account.ask(case)
        if refuses or answer.status_code not in UNIVERSAL:  # an operation that documents no refusal refuses all the same
            case.validate_response(answer, checks=list(CHECKS))

    ask()
