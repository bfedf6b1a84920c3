"""A dialler that calls everybody in a file once, and goes on where it was stopped.

    python -m retell_async.sandbox --examples --speed 60          # in another terminal, to try it
    export RETELL_BASE_URL=http://127.0.0.1:8888 RETELL_API_KEY=key_sandbox
    python -m examples.dialler jobs.csv --from-number +14155550100

`jobs.csv` has the columns `job_id`, `to_number` and `name`. A `job_id` is the idempotency key of its call, so it has 5 to 255 letters,
digits, `_` and `-`: `appointment-1`, not `1`.

What is known of each job is in `jobs.csv.sqlite`, written before and after each request. So it may be stopped at any moment, killed too,
and started again: whoever was called is not called twice. A call of which nobody knows whether it was placed is counted as unknown. It is
looked for whenever the dialler is started, and never placed again. Where the API refuses a call, nobody is called: the log says why, and
the next start tries it again. The exit status is 1 while there is a call that is not over.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import logging
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import attrs

from retell_async import APIStatusError, AsyncRetell, CallSlots, OutcomeUnknownError, RateLimit, RetellError

log = logging.getLogger("dialler")

KEY = re.compile(r"[A-Za-z0-9_-]{5,255}")  # what the API takes as an idempotency key
OF_THE_ACCOUNT = {401, 402, 403}  # the key is wrong, or the account cannot pay: the API refuses all others too


@attrs.frozen
class Job:
    job_id: str
    to_number: str
    name: str


class Journal:
    """What is known of each job. A job without a row was never sent.

    Its states: ``placing`` (its request may have been sent, since then), ``placed`` (its call goes on), ``over``, ``refused``, ``unknown``.
    """

    def __init__(self, path: str) -> None:
        self._table = sqlite3.connect(path, isolation_level=None)  # each statement is on the disk when it returns
        self._table.execute(
            "CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, state TEXT NOT NULL, since REAL NOT NULL, call_id TEXT, result TEXT)"
        )

    def find(self, job_id: str) -> tuple[str, float, str | None] | None:
        """The state of a job, when its request was sent first, and its call; ``None`` for one that is new, or was refused."""
        rows = self._table.execute("SELECT state, since, call_id FROM jobs WHERE job_id = ? AND state != 'refused'", (job_id,))
        found: tuple[str, float, str | None] | None = rows.fetchone()
        return found

    def begin(self, job_id: str) -> None:
        """A job's request is about to be sent for the first time."""
        self._table.execute("INSERT OR REPLACE INTO jobs VALUES (?, 'placing', ?, NULL, NULL)", (job_id, time.time()))

    def note(self, job_id: str, state: str, call_id: str | None = None, result: str | None = None) -> None:
        self._table.execute(
            "UPDATE jobs SET state = ?, call_id = coalesce(?, call_id), result = ? WHERE job_id = ?", (state, call_id, result, job_id)
        )

    def states(self) -> Counter[str]:
        return Counter(state for (state,) in self._table.execute("SELECT state FROM jobs"))


async def find(client: AsyncRetell, job_id: str) -> str | None:
    """The call of a job, by its metadata."""
    async for call in client.call.list(
        filter_criteria={"metadata": [{"key": "job_id", "type": "string", "op": "eq", "value": job_id}]}, limit=1
    ):
        return call.call_id
    return None


async def place(client: AsyncRetell, journal: Journal, job: Job, since: float | None, from_number: str) -> str | None:
    """Place the call of a job, unless it was placed: its id, or ``None`` when nobody knows.

    :param since: when its request was sent first, ``None`` if it was not.
    """
    if since is None:
        journal.begin(job.job_id)
    try:
        placed = await client.call.create_phone_call(
            from_number=from_number,
            to_number=job.to_number,
            retell_llm_dynamic_variables={"customer_name": job.name},
            metadata={"job_id": job.job_id},
            idempotency_key=job.job_id,
            idempotency_key_since=since,  # the API knows the key for an hour from then on; later nothing is sent
        )
        call_id: str | None = placed.call_id
    except OutcomeUnknownError:
        call_id = await find(client, job.job_id)
    except APIStatusError as error:
        journal.note(job.job_id, "refused", result=error.message)
        raise
    journal.note(job.job_id, "unknown" if call_id is None else "placed", call_id)
    return call_id


async def run(client: AsyncRetell, journal: Journal, job: Job, slots: CallSlots, from_number: str) -> None:
    """Bring a job to its end from wherever it stands."""
    state, since, call_id = journal.find(job.job_id) or ("new", None, None)
    if state in {"new", "placing"}:
        async with slots.one():  # there is room on the account for one more call
            call_id = await place(client, journal, job, since, from_number)
    elif state == "unknown" and (call_id := await find(client, job.job_id)) is not None:
        journal.note(job.job_id, "placed", call_id)
    if state != "over" and call_id is not None:
        call = await client.call.wait(call_id)
        journal.note(job.job_id, "over", result=call.disconnection_reason)
        log.info("%s: %s", job.job_id, call.disconnection_reason)


async def dial(jobs: Iterable[Job], journal: Journal, from_number: str, *, concurrency: int = 50) -> None:
    """Call everybody, some at a time."""
    turns = asyncio.Semaphore(concurrency)
    in_vain = False
    # The account's limit is waited for as long as it takes: nobody waits for a dialler.
    async with AsyncRetell(rate_limit=RateLimit(max_wait=None)) as client, asyncio.TaskGroup() as tasks:
        slots = CallSlots(client)

        async def one(job: Job) -> None:
            nonlocal in_vain
            async with turns:
                if in_vain:
                    return
                try:
                    await run(client, journal, job, slots, from_number)
                except RetellError as error:  # the others go on, and the next start takes this one up where it stands
                    log.warning("%s: %s", job.job_id, error)
                    in_vain = isinstance(error, APIStatusError) and error.status_code in OF_THE_ACCOUNT

        for job in jobs:
            tasks.create_task(one(job))


def main() -> None:
    parser = argparse.ArgumentParser(description="Call everybody in a file once.")
    parser.add_argument(
        "people", help="a CSV file with the columns job_id (5 to 255 letters, digits, _ and -: the idempotency key), to_number and name"
    )
    parser.add_argument("--from-number", required=True, help="a number of your account")
    parser.add_argument(
        "--concurrency", "--at-once", type=int, default=50, help="calls that are placed or followed at a time (default: 50)"
    )
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with Path(asked.people).open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, restval="")
        if missing := {"job_id", "to_number", "name"}.difference(rows.fieldnames or ()):
            parser.error(f"{asked.people} has no column {', '.join(sorted(missing))} in its first line")
        jobs = list[Job]()
        for row in rows:
            if not KEY.fullmatch(row["job_id"]):
                parser.error(
                    f"{asked.people}, line {rows.line_num}: the job_id has to be 5 to 255 letters, digits, _ and -; nobody is called"
                )
            jobs.append(Job(row["job_id"], row["to_number"], row["name"]))
    journal = Journal(f"{asked.people}.sqlite")
    asyncio.run(dial(jobs, journal, asked.from_number, concurrency=asked.concurrency))
    states = journal.states()
    print(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    raise SystemExit(not states.keys() <= {"over"})


if __name__ == "__main__":
    main()
