"""Scripts that place many calls without await."""

from __future__ import annotations

import csv
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import retell
from retell import Retell
from retell.types import BatchCallResponse, PhoneCallResponse

LEADS = """name,phone
Ada,+14155550101
Grace,+14155550102
Edsger,+14155550103
"""

client = Retell()


def set_up() -> None:
    llm = client.llm.create(general_prompt="You call.")
    agent = client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
    client.phone_number.import_(
        phone_number="+14155550100", termination_uri="a.pstn.twilio.com", outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}]
    )


def call_lead(name: str, phone: str) -> PhoneCallResponse | None:
    try:
        return client.call.create_phone_call(
            from_number="+14155550100", to_number=phone, retell_llm_dynamic_variables={"name": name}, timeout=10
        )
    except retell.APIConnectionError as e:
        print("The server could not be reached", e.__cause__)
    except retell.RateLimitError:
        time.sleep(1)
    except retell.APIStatusError as e:
        print(e.status_code, e.response, e.message)
    return None


def program_call_all_of_a_file() -> None:
    set_up()
    log: list[dict[str, str]] = []
    for row in csv.DictReader(io.StringIO(LEADS)):
        call = call_lead(row["name"], row["phone"])
        assert call is not None
        log.append({**row, "call_id": call.call_id})
    assert len({line["call_id"] for line in log}) == 3


def program_call_from_a_pool_of_threads() -> None:
    set_up()
    rows = list(csv.DictReader(io.StringIO(LEADS))) * 5
    seen: list[str] = []
    lock = threading.Lock()
    with ThreadPoolExecutor(max_workers=8) as pool:
        futures = {pool.submit(call_lead, row["name"], row["phone"]): row for row in rows}
        for future in as_completed(futures):
            call = future.result()
            assert call is not None
            assert call.to_number == futures[future]["phone"]
            with lock:
                seen.append(call.call_id)
    assert len(set(seen)) == 15
    local = threading.local()

    def own() -> None:
        if not hasattr(local, "client"):
            local.client = Retell(api_key=os.environ["RETELL_API_KEY"])
        assert local.client.concurrency.retrieve().concurrency_limit

    threads = [threading.Thread(target=own) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def program_a_batch() -> None:
    set_up()
    tasks = [
        {"to_number": row["phone"], "retell_llm_dynamic_variables": {"name": row["name"]}} for row in csv.DictReader(io.StringIO(LEADS))
    ]
    batch: BatchCallResponse = client.batch_call.create_batch_call(
        from_number="+14155550100",
        name="Monday",
        tasks=tasks,  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        trigger_timestamp=int((time.time() + 3600) * 1000),
    )
    assert batch.batch_call_id
    assert batch.total_task_count == 3
    limits = client.concurrency.retrieve()
    print(f"{limits.current_concurrency} of {limits.concurrency_limit}")


def program_poll_until_it_ended() -> None:
    set_up()
    call = call_lead("Ada", "+14155550101")
    assert call is not None
    for _ in range(600):
        found = client.call.retrieve(call.call_id)
        if found.call_status in ("ended", "error", "not_connected"):
            break
        time.sleep(0.05)
    else:
        raise AssertionError(found.call_status)
    if found.call_status == "ended":
        assert found.end_timestamp is not None
        assert found.start_timestamp is not None
        print(found.disconnection_reason, (found.end_timestamp - found.start_timestamp) / 1000)
    client.call.delete(call.call_id)
