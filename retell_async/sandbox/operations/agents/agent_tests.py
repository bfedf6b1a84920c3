"""Tests of agents: test cases, and batches of their runs."""

from __future__ import annotations

from random import Random

from ...common.messages import Incoming, Json, Refused
from ...simulation.chat_script import transcript
from ...state.assets import Asset
from ...state.listing import Entries
from ...state.records import TestBatch, TestRun
from ...state.store import Store
from ..helpers import existing, listed
from . import engines

__all__ = [
    "create_batch",
    "create_case",
    "delete_case",
    "list_batches",
    "list_cases",
    "list_runs",
    "retrieve_batch",
    "retrieve_case",
    "retrieve_run",
    "update_case",
]

_FIXED = ("test_case_definition_id", "type", "creation_timestamp", "user_modified_timestamp")
_NAMES = {"retell-llm": "llm_id", "conversation-flow": "conversation_flow_id"}
_DEFAULTS: Json = {"dynamic_variables": {}, "tool_mocks": [], "llm_model": "gpt-4.1"}
_REASONS = {
    "pass": "The agent did what the test case asks for.",
    "fail": "The agent did not do all that the test case asks for.",
    "error": "The conversation broke off.",
}


def create_case(store: Store, incoming: Incoming) -> Json:
    engines.check(store, incoming.body["response_engine"], 400)
    id, now = f"test_case_{store.new_id('test_case')}", store.now()
    made = {"test_case_definition_id": id, "type": "simulation", "creation_timestamp": now, "user_modified_timestamp": now}
    return store.test_cases.add(id, _DEFAULTS | incoming.body | made).latest


def retrieve_case(store: Store, incoming: Incoming) -> Json:
    return _case(store, incoming).latest


def list_cases(store: Store, incoming: Incoming) -> Json:
    asked = _asked_engine(incoming.query)
    return listed(
        store.test_cases.entries,
        incoming.query,
        lambda case: case.latest,
        lambda case: engines.same(case.latest["response_engine"], asked),
    )


def update_case(store: Store, incoming: Incoming) -> Json:
    case = _case(store, incoming)
    changes = {name: value for name, value in incoming.body.items() if name not in _FIXED}
    if "response_engine" in changes:
        engines.check(store, changes["response_engine"], 400)
    return case.write(case.latest | changes | {"user_modified_timestamp": store.now()})


def delete_case(store: Store, incoming: Incoming) -> None:
    store.test_cases.remove(_case(store, incoming).id)


def create_batch(store: Store, incoming: Incoming) -> Json:
    """Runs begin one after the other. Each takes some seconds, and passes or fails as the seed decides."""
    engine = incoming.body["response_engine"]
    engines.check(store, engine, 400)
    now = store.now()
    runs: list[TestRun] = []
    for number, case_id in enumerate(incoming.body["test_case_definition_ids"]):
        name = store.new_id("test_run")
        rng = Random(name)
        begins = now + 500 * number + rng.randint(200, 800)
        runs.append(
            TestRun(
                id=f"test_run_{name}",
                definition=existing(store.test_cases, case_id, "body.test_case_definition_ids", 400).latest,
                created=now,
                begins=begins,
                ends=begins + rng.randint(3_000, 12_000),
                verdict=rng.choices(("pass", "fail", "error"), (80, 17, 3))[0],
            )
        )
    id = f"test_batch_{store.new_id('test_batch')}"
    return _batch_view(store.test_batches.put(id, TestBatch(id=id, engine=engine, created=now, runs=runs)), now)


def retrieve_batch(store: Store, incoming: Incoming) -> Json:
    return _batch_view(_batch(store, incoming), store.now())


def list_batches(store: Store, incoming: Incoming) -> Json:
    asked, version, now = _asked_engine(incoming.query), incoming.query.get("version"), store.now()
    return listed(
        store.test_batches.entries,
        incoming.query,
        lambda batch: _batch_view(batch, now),
        lambda batch: engines.same(batch.engine, asked) and version in {None, batch.engine.get("version")},
    )


def list_runs(store: Store, incoming: Incoming) -> Json:
    now = store.now()
    runs = _batch(store, incoming).runs
    entries: Entries[TestRun] = [((serial, 0), run) for serial, run in enumerate(runs)]
    return listed(entries, incoming.query, lambda run: _run_view(run, now))


def retrieve_run(store: Store, incoming: Incoming) -> Json:
    for batch in store.test_batches:
        for run in batch.runs:
            if run.id == incoming.path["test_case_job_id"]:
                return _run_view(run, store.now())
    raise Refused(404, "test_case_job_id was not found")


def _case(store: Store, incoming: Incoming) -> Asset:
    return existing(store.test_cases, incoming.path["test_case_definition_id"], "test_case_definition_id", 404)


def _batch(store: Store, incoming: Incoming) -> TestBatch:
    return existing(store.test_batches, incoming.path["test_case_batch_job_id"], "test_case_batch_job_id", 404)


def _asked_engine(query: Json) -> Json:
    name = _NAMES[query["type"]]
    if name not in query:
        raise Refused(400, f"query parameter {name} is missing")
    return {"type": query["type"], name: query[name]}


def _batch_view(batch: TestBatch, now: int) -> Json:
    states = [run.status(now) for run in batch.runs]
    return {
        "test_case_batch_job_id": batch.id,
        "response_engine": batch.engine,
        "status": "in_progress" if {"pending", "in_progress"} & set(states) else "complete",
        "pass_count": states.count("pass"),
        "fail_count": states.count("fail"),
        "error_count": states.count("error"),
        "total_count": len(states),
        "creation_timestamp": batch.created,
        "user_modified_timestamp": max([batch.created, *(run.changed(now) for run in batch.runs)]),
    }


def _run_view(run: TestRun, now: int) -> Json:
    state = run.status(now)
    view: Json = {
        "test_case_job_id": run.id,
        "test_case_definition_id": run.definition["test_case_definition_id"],
        "test_case_definition_snapshot": run.definition,
        "status": state,
        "creation_timestamp": run.created,
        "user_modified_timestamp": run.changed(now),
    }
    if state in _REASONS:
        played: list[Json] = [
            {"role": "user", "content": run.definition["user_prompt"]},
            {"role": "agent", "content": "I have noted that. Is there anything else?"},
        ]
        view |= {"result_explanation": _REASONS[state], "transcript_snapshot": {"messages": played, "transcript": transcript(played)}}
    return view
