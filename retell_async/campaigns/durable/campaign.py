"""A campaign in a file: made, run, watched and stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import anyio
import attrs
from anyio import to_thread

from ..._call_slots import CallSlots
from ..._core.errors import ConfigurationError
from ..._helpers.call import Ends
from ..._http.loops import is_asyncio, running_loop
from ..case import End
from ..contact import Contact
from ..forecast import ends_about
from ..report import Record, page
from ..settings import Settings
from . import views
from .database import alone, open_database
from .format import FORMAT
from .store import Intent, Status, Store

if TYPE_CHECKING:
    from ..._client import AsyncRetell
    from ..._helpers.watch import Events

__all__ = ["Campaign", "Progress", "State"]

_TICK = 0.2  # seconds from one look at what is due to the next
_LOOK_AT_CALLS = 10.0  # seconds from one question about calls to the next, where events tell of their ends
_GUESS = 120.0  # seconds that a call is taken to last as long as none is over
_AGAIN: tuple[End, ...] = ("exhausted", "refused", "expired")  # whose last call is unknown may have been reached: only if that is said


@attrs.frozen
class State:
    """How a campaign stands."""

    name: str
    status: Status
    note: str
    """Why it paused by itself."""
    counts: dict[str, int]
    """How many contacts are ``waiting`` or ``live``, or how they ended."""

    @property
    def contacts(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@attrs.frozen
class Progress:
    """How a campaign goes on."""

    state: State
    per_second: float
    """Calls that were sent a second, over the last minute."""
    next_at: float | None
    """When the next contact may be called, as Unix time in seconds; ``None`` if nobody waits."""
    last: list[Record]
    """Some of the attempts that ended last, the newest first."""


class Campaign:
    """A campaign in a file of SQLite, whose every step is written down before and after it is done.

    :param path: the file that `Campaign.make` made.
    :raises ConfigurationError: there is no campaign in it, or a later version wrote it.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._store = Store(open_database(self._path))
        self._store.campaign()

    @classmethod
    def make(
        cls,
        path: Path | str,
        name: str,
        settings: Settings,
        contacts: Iterable[Contact],
        *,
        do_not_call: Collection[str] = (),
    ) -> Campaign:
        """Make a campaign, of which nothing is done before `run`.

        :param path: where its file is made.
        :param name: what it is called: letters, digits, ``_`` and ``-``, which stand in the keys of its calls.
        :param do_not_call: numbers in E.164 form that are not called.
        :raises ConfigurationError: there is a campaign in this file already, or two contacts have one id.
        """
        store = Store(open_database(Path(path), make=True))
        store.make(name, settings, contacts, do_not_call, time.time())
        return cls(path)

    def state(self) -> State:
        """How it stands. Any process may ask."""
        name, _, status, note = self._store.campaign()
        return State(name, status, note, self._store.counts())

    def attempts(self) -> list[dict[str, Any]]:
        """All attempts in order of time.

        Each has ``contact_id``, ``number``, ``from_number``, ``at``, ``sent_at``, ``call_id``, ``result``, ``cents``, ``duration_ms``,
        ``key``, and the ``end`` of the contact.
        """
        return self._store.attempts()

    def report(self) -> str:
        """How it went, as one page of HTML, complete in itself: contacts, answers by the hour, cost. Numbers of people are masked."""
        name, settings, status, note = self._store.campaign()
        told = f"{status} ({note})" if note else status
        with self._store.reading() as connection:
            return page(name, told, self._store.counts(), views.records(connection), time.time(), zone=settings.rules.zone)

    def progress(self, last: int = 5) -> Progress:
        """How it goes on. Any process may ask.

        :param last: so many attempts that ended last are told of.
        """
        with self._store.reading() as connection:
            pace, due = views.pace(connection, time.time()), views.next_due(connection)
            return Progress(self.state(), pace, due, views.last(connection, last))

    def ends_about(self, live: int) -> float | None:
        """About when the last call is over, as Unix time in seconds, if all goes on as it went; ``None`` if nobody can say.

        It reads all contacts that wait: with 100,000 of them it takes seconds.

        :param live: so many calls go on at once as long as there is somebody to call.
        """
        rules = self._store.campaign()[1].rules
        with self._store.reading() as connection:
            known, again = views.course(connection)
            seconds = _GUESS if known is None else known
            pace = min(sum(number.per_second for number in rules.numbers), live / max(seconds, 0.1))
            last = ends_about(views.waiting(connection), rules, time.time(), per_second=pace, again=again)
        return None if last is None else last + seconds

    def pause(self) -> None:
        """Place no more calls, whichever process runs it; those that go on are followed to their end."""
        self._store.set_status("paused", only_from="running")

    def resume(self) -> None:
        """Go on, if a process runs it; else `run` does."""
        self._store.set_status("running", only_from="paused")

    def cancel(self) -> None:
        """Place no more calls, and never again."""
        self._store.set_status("cancelled")

    def retry(self, ends: Iterable[End] = _AGAIN) -> int:
        """Begin anew, with a new budget of attempts, with contacts that ended so; how many there are. It pauses if it was done.

        :raises ConfigurationError: there is no such end.
        """
        ends = tuple(ends)
        for end in ends:
            if end not in get_args(End):
                raise ConfigurationError(f"{end!r} is no end of a contact: {', '.join(get_args(End))} are")
        return self._store.retry(ends, time.time())

    async def run(
        self,
        client: AsyncRetell,
        *,
        router: Events | None = None,
        on_state: Callable[[State], None] | None = None,
        stop: anyio.Event | None = None,
    ) -> State:
        """Place calls by the rules until every contact has come to an end, or until somebody pauses or cancels it, and give how it stands.

        Under asyncio, and once in a process at a time. After a kill it goes on where it was.

        :param router: a `webhooks.Router` that gets the account's events: these tell of ends at once.
        :param on_state: called now and then with how it stands.
        :param stop: once it is set this process begins no more calls, follows those that go on to their end, and comes back. The campaign
            itself goes on with the next `run`.
        :raises ConfigurationError: it is cancelled, another process runs it, or something else uses DBOS in this process.
        """
        if not is_asyncio(running_loop()):
            raise ConfigurationError("a campaign runs under asyncio: DBOS, on which it stands, knows no other")
        from . import workflow

        name, settings, status, _ = self._store.campaign()
        if status == "cancelled":
            raise ConfigurationError(f"the campaign {name} was cancelled")
        if await workflow.is_in_use():
            raise ConfigurationError(
                "DBOS is in use in this process already, and there can be one only: run the campaign in another process"
            )
        with alone(self._path):
            return await self._run(client, settings, router, on_state, stop or anyio.Event())

    async def _run(
        self, client: AsyncRetell, settings: Settings, router: Events | None, on_state: Callable[[State], None] | None, stop: anyio.Event
    ) -> State:
        from . import workflow
        from .workflow import DBOS, QUEUE, enqueue

        slots = CallSlots(client)
        live = settings.live or max(await slots.limit(), 1)
        every = None if router is None else _LOOK_AT_CALLS
        workflow.serve(workflow.Worker(self._store, client, settings, Ends(client.call, router, within=7200.0, every=every), slots))
        engine = open_database(self._path, outlasts_power=False)  # what it forgets is in the tables of the campaign
        logging.getLogger("dbos").setLevel(logging.WARNING)
        DBOS(
            config={
                "name": "retell-async",
                "system_database_engine": engine,
                "application_version": f"retell-async-campaign-{FORMAT}",
                "executor_id": "local",
                "log_level": "WARNING",
            }
        )
        try:
            self._store.set_status("running", only_from="paused")
            self._store.set_status("running", only_from="done")
            DBOS.launch()
            await DBOS.register_queue_async(QUEUE, worker_concurrency=live, polling_interval_sec=_TICK)
            for key in await to_thread.run_sync(self._store.open_attempts):
                await enqueue(key, 0.0)
            return await self._feed(live, on_state, stop)
        finally:
            DBOS.destroy()
            workflow.serve(None)
            engine.dispose()

    async def _feed(self, live: int, on_state: Callable[[State], None] | None, stop: anyio.Event) -> State:
        """Give what is due to the queue, as long as there is room, until nothing is left."""
        from .workflow import enqueue

        while True:
            going_on = len(await to_thread.run_sync(self._store.open_attempts))
            found: Intent | float | None = 0.0
            while going_on < live and not stop.is_set():
                found = await to_thread.run_sync(self._store.next_intent, time.time())
                if not isinstance(found, Intent):
                    break
                await enqueue(found.key, max(found.at - time.time(), 0.0))
                going_on += 1
            state = await to_thread.run_sync(self.state)
            if on_state is not None:
                on_state(state)
            if not going_on:
                if state.status == "running" and found is None:
                    self._store.set_status("done", only_from="running")
                    return self.state()
                if state.status != "running" or stop.is_set():
                    return state
            await anyio.sleep(_TICK)
