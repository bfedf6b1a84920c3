"""Calls as tables, JSON and files."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from retell import NOT_GIVEN, Retell
from retell.types import CallResponse, call_list_params

client = Retell(api_key=os.environ["RETELL_API_KEY"], max_retries=3, timeout=30.0)


def place(number: int) -> list[str]:
    llm = client.llm.create(general_prompt="You call.")
    agent = client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo", agent_name="A")
    client.phone_number.import_(
        phone_number="+14155550100", termination_uri="a.pstn.twilio.com", outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}]
    )
    return [
        client.call.create_phone_call(from_number="+14155550100", to_number=f"+141555501{n:02}", metadata={"n": n}).call_id
        for n in range(1, number + 1)
    ]


def program_every_page_by_its_key() -> None:
    placed = place(7)
    calls: list[Any] = []
    key: str | None = None
    while True:
        page = (
            client.call.list(limit=3, sort_order="ascending", pagination_key=key)
            if key
            else client.call.list(limit=3, sort_order="ascending")
        )
        calls.extend(page.items or [])
        if not page.has_more:
            break
        key = page.pagination_key
    assert sorted(call.call_id for call in calls) == sorted(placed)
    assert Counter(call.call_type for call in calls) == {"phone_call": 7}


def program_a_csv_of_model_dump() -> None:
    place(3)
    rows = [call.model_dump(mode="json", exclude_none=True) for call in client.call.list().items or []]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=["call_id", "to_number", "call_status", "metadata"], extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "metadata": json.dumps(row["metadata"])})
    assert out.getvalue().count("+141555501") == 3
    assert out.getvalue().splitlines()[0] == "call_id,to_number,call_status,metadata"


def program_json_files_and_back() -> None:
    (call_id,) = place(1)
    call = client.call.retrieve(call_id)
    with TemporaryDirectory() as folder:
        for name, text in (("a", call.to_json()), ("b", call.model_dump_json(indent=2)), ("c", json.dumps(call.to_dict()))):
            path = Path(folder) / f"{name}.json"
            path.write_text(text)
            again = type(call).model_validate(json.loads(path.read_text()))
            assert again.call_id == call_id
            assert type(call).model_validate_json(path.read_text()).call_id == call_id
            assert type(call)(**json.loads(path.read_text())).to_dict()["call_id"] == call_id
    changed = call.model_copy(update={"call_status": "ended"})
    assert (changed.call_status, call.call_id) == ("ended", changed.call_id)
    assert "call_id" in call.model_fields_set
    assert json.loads(json.dumps({"call": call.model_dump(mode="json")}))["call"]["metadata"] == {"n": 1}


def program_yesterdays_calls_of_an_agent() -> None:
    place(2)
    since = datetime.now(timezone.utc) - timedelta(days=1)
    agent_id = client.agent.list().items[0].agent_id
    criteria: call_list_params.FilterCriteria = {
        "agent": [{"agent_id": agent_id}],
        "start_timestamp": {"type": "number", "op": "ge", "value": int(since.timestamp() * 1000)},
        "call_status": {"type": "enum", "op": "in", "value": ["ended", "ongoing", "error"]},
    }
    page = client.call.list(filter_criteria=criteria, limit=100, sort_order="descending")
    spent = sum(((call.call_cost.combined_cost if call.call_cost else 0) or 0) for call in page.items or [])
    assert spent >= 0
    assert {call.agent_id for call in page.items or []} <= {agent_id}
    assert len(client.call.list(limit=NOT_GIVEN).items or []) == 2


def describe(call: CallResponse) -> str:
    analysis = call.call_analysis
    lines = [f"{part.role}: {part.content}" for part in call.transcript_object or []]
    summary = analysis.call_summary if analysis else None
    return "\n".join([call.call_id, summary or "no summary", *lines])


def program_transcripts() -> None:
    (call_id,) = place(1)
    call = client.call.retrieve(call_id)
    assert describe(call).startswith(call_id)
    assert getattr(call, "nothing_of_the_kind", None) is None
    assert hasattr(call, "transcript")
    fields = dict(call)
    assert fields["call_id"] == call_id
    assert call.call_id in repr(call)
