"""A program: has Temporal's own core replay histories with the workflow of `docs/tasks/engines.md`, and prints which fit."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from temporal_calls import CallOnce  # type: ignore[import-not-found]
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

QUEUE = {"name": "calls"}
JOB = {"id": "appointment-4711", "to_number": "+14155550108", "since": 1790000000.0}
FLAGS = {"coreUsedFlags": [1]}  # it compares the names of activities too


class History:
    """What a server would have written down of a run whose activities were these."""

    def __init__(self, *activities: tuple[str, object, object]) -> None:
        self.events: list[dict[str, Any]] = []
        start = {"workflowType": {"name": "CallOnce"}, "taskQueue": QUEUE, "input": payload(JOB), "workflowId": "job", "attempt": 1}
        self.add("workflow_execution_started", originalExecutionRunId="run", firstExecutionRunId="run", workflowTaskTimeout="10s", **start)
        done = self.turn()
        for number, (name, given, result) in enumerate(activities, 1):
            known = {"activityId": str(number), "activityType": {"name": name}, "taskQueue": QUEUE, "input": payload(given)}
            scheduled = self.add("activity_task_scheduled", workflowTaskCompletedEventId=done, **known)
            started = self.add("activity_task_started", scheduledEventId=scheduled, identity="worker", requestId="request", attempt=1)
            self.add(
                "activity_task_completed", scheduledEventId=scheduled, startedEventId=started, identity="worker", result=payload(result)
            )
            done = self.turn()
        self.add("workflow_execution_completed", result=payload(activities[-1][2]), workflowTaskCompletedEventId=done)

    def add(self, kind: str, **attributes: Any) -> str:
        name = "".join(part.title() for part in kind.split("_"))
        number = str(len(self.events) + 1)
        self.events.append(
            {
                "eventId": number,
                "eventTime": f"2026-11-26T09:00:{len(self.events):02}Z",
                "eventType": f"EVENT_TYPE_{kind.upper()}",
                f"{name[0].lower()}{name[1:]}EventAttributes": attributes,
            }
        )
        return number

    def turn(self) -> str:
        """A turn of the workflow's own code."""
        scheduled = self.add("workflow_task_scheduled", taskQueue=QUEUE, startToCloseTimeout="10s", attempt=1)
        started = self.add("workflow_task_started", scheduledEventId=scheduled, identity="worker")
        return self.add("workflow_task_completed", scheduledEventId=scheduled, startedEventId=started, identity="worker", sdkMetadata=FLAGS)


def payload(value: object) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(value).encode()).decode()
    return {"payloads": [{"metadata": {"encoding": base64.b64encode(b"json/plain").decode()}, "data": data}]}


async def main() -> None:
    place, follow = ("place", JOB, "call_1"), ("follow", "call_1", "user_hangup")
    for name, history in {
        "place, follow": History(place, follow),
        "follow, place": History(follow, place),
        "place": History(place),
    }.items():
        replayed = Replayer(workflows=[CallOnce])
        found = await replayed.replay_workflow(WorkflowHistory.from_json("job", {"events": history.events}), raise_on_replay_failure=False)
        print(f"{name}: {'fits' if found.replay_failure is None else 'does not fit'}")


asyncio.run(main())
