"""Phone numbers, and calls from them."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any

from retell import Retell
from retell.resources.call import CallResource
from retell.types import CallResponse, PhoneCallResponse, WebCallResponse


def get_client() -> Retell:
    api_key = os.getenv("RETELL_API_KEY")
    if not api_key:
        raise RuntimeError("RETELL_API_KEY is not set")
    return Retell(api_key=api_key)


def an_agent(client: Retell) -> str:
    llm = client.llm.create(general_prompt="You call.")
    return client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo").agent_id


def program_import_a_number() -> None:
    client = get_client()
    agent_id = an_agent(client)
    number = client.phone_number.import_(
        phone_number="+14155550100",
        termination_uri="someone.pstn.twilio.com",
        sip_trunk_auth_username="user",
        sip_trunk_auth_password="secret",
        nickname="Front desk",
        inbound_agents=[{"agent_id": agent_id, "weight": 1}],
        outbound_agents=[{"agent_id": agent_id, "weight": 1}],
    )
    assert number.phone_number == "+14155550100"
    client.phone_number.update("+14155550100", nickname="Reception", inbound_webhook_url="https://example.com/inbound")
    assert client.phone_number.retrieve("+14155550100").nickname == "Reception"
    assert [each.phone_number for each in client.phone_number.list().items or []] == ["+14155550100"]
    client.phone_number.delete("+14155550100")
    client.close()


def program_place_a_call_and_look_at_it() -> None:
    client = get_client()
    agent_id = an_agent(client)
    client.phone_number.import_(
        phone_number="+14155550100", termination_uri="a.pstn.twilio.com", outbound_agents=[{"agent_id": agent_id, "weight": 1}]
    )
    call = client.call.create_phone_call(
        from_number="+14155550100",
        to_number="+14155550101",
        override_agent_id=agent_id,
        retell_llm_dynamic_variables={"name": "Ada", "amount": "12"},
        metadata={"job": 4711, "tags": ["a", "b"]},
        custom_sip_headers={"X-Custom": "1"},
    )
    assert isinstance(call, PhoneCallResponse)
    assert isinstance(call.metadata, dict)
    assert call.metadata["job"] == 4711
    assert call.retell_llm_dynamic_variables == {"name": "Ada", "amount": "12"}
    found: CallResponse = client.call.retrieve(call.call_id)
    if isinstance(found, PhoneCallResponse):
        assert (found.from_number, found.to_number) == ("+14155550100", "+14155550101")
    data = found.dict()
    if data.get("call_status") in ("ended", "error"):
        print(data.get("transcript", "none"), data.get("recording_url"))
    resource = CallResource(client)
    assert resource.retrieve(call_id=call.call_id).call_id == call.call_id
    web = client.call.create_web_call(agent_id=agent_id, metadata={"from": "browser"})
    assert web.access_token
    assert isinstance(client.call.retrieve(web.call_id), WebCallResponse)
    registered = client.call.register_phone_call(
        agent_id=agent_id, direction="inbound", from_number="+14155550102", to_number="+14155550100"
    )
    assert registered.call_id.startswith("call")
    client.close()


@dataclass
class Outreach:
    """A wrapper as services have it around the client."""

    client: Retell = field(default_factory=get_client)
    from_number: str = "+14155550100"
    placed: list[PhoneCallResponse] = field(default_factory=list)

    def place(self, to_number: str, **variables: str) -> str:
        call = self.client.call.create_phone_call(from_number=self.from_number, to_number=to_number, retell_llm_dynamic_variables=variables)
        self.placed.append(call)
        return call.call_id


@dataclass
class Summary:
    call_id: str
    status: str | None
    minutes: float
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, call: CallResponse) -> Summary:
        return cls(call.call_id, call.call_status, (call.duration_ms or 0) / 60000, call.to_dict())


def program_dataclasses_around_the_client() -> None:
    service = Outreach()
    agent_id = an_agent(service.client)
    service.client.phone_number.import_(
        phone_number="+14155550100", termination_uri="a.pstn.twilio.com", outbound_agents=[{"agent_id": agent_id, "weight": 1}]
    )
    first = service.place("+14155550101", name="Ada")
    service.place("+14155550102", name="Grace")
    summary = Summary.of(service.client.call.retrieve(first))
    assert summary.call_id == first
    assert asdict(summary)["extra"]["call_type"] == "phone_call"
    assert [call.to_number for call in service.placed] == ["+14155550101", "+14155550102"]
