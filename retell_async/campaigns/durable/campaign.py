"""A campaign: made, run, watched and stopped."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar, get_args

import anyio
import attrs
from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint_if_cancelled

from ..._call_slots import CallSlots
from ..._core.attempt import first_of
from ..._core.errors import APIError, ConfigurationError
from ..._core.masking import mask_text
from ..._files import check_ours
from ..._helpers.call import Ends
from ..._helpers.watch import check_router, is_transient
from ..._http.loops import is_asyncio, running_loop
from ..._logs import Log
from ..case import End
from ..contact import Contact
from ..contacts import numbers_of
from ..forecast import ends_about
from ..report import Record, page
from ..settings import Settings
from ..zones import all_e164
from .database import Database, is_lasting
from .optouts import OptOuts
from .placing import Placing
from .store import WAITS, Intent, LeaseLost, Status, Store, Superseded
from .views import View
from .worker import FOLLOWED, REFUSALS, Worker, is_waiting, patiently, tell_of_silence

if TYPE_CHECKING:
    from ..._client import AsyncRetell
    from ..._helpers.watch import Events

__all__ = ["Campaign", "Progress", "State"]

P = ParamSpec("P")
T = TypeVar("T")

_HELD = "until it is resumed"
_TICK = 0.2  # seconds from one look at what is due to the next
_BREATH = 0.02  # the same while contacts are moved to their next hours, by many: others may write in between
_TOLD = 1.0  # seconds from one time that is told how it stands to the next
_LOOK_AT_CALLS = 10.0  # seconds from one question about calls to the next, where events tell of their ends
_AHEAD = 0.25  # of the calls that may be at once: so many more are begun, which wait for one of those to end
LEASE = 15.0  # seconds, by default
_BEATS = 5  # times within the lease that a worker writes that it is alive
_LEAVING = 2.0  # seconds for which one who leaves tries to say so, which saves others the lease
_ASKED_AGAIN = 5.0  # seconds after which the account is asked again that did not answer
_GUESS = 120.0  # seconds that a call is taken to last as long as none is over
_AGAIN: tuple[End, ...] = ("exhausted", "refused", "expired")  # whose last call is unknown may have been reached: only if that is said

_logger = Log("retell_async")


@attrs.frozen
class State:
    """How a campaign stands."""

    name: str
    """As it was made."""
    status: Status
    """``running``, also while no process runs it that was stopped or killed; ``paused``, ``cancelled`` or ``done``."""
    note: str
    """Why it paused by itself, that somebody paused it until it is resumed, why a number was set aside, or that the API does not answer;
    else empty."""
    counts: dict[str, int]
    """How many contacts are ``waiting`` to be called, ``live`` (on the line) or ``analyzing`` (their call is over, and what its agent left
    is waited for), and how many ended how, as `Case.end` says. What there is none of is left out."""

    held: bool = False
    """Whether somebody paused it, so that it stays so until it is resumed."""

    @property
    def contacts(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@attrs.frozen
class Progress:
    """How a campaign goes on."""

    state: State
    """How it stands."""
    per_second: float
    """Calls that were sent a second, over the last minute."""
    next_at: float | None
    """When the next contact may be called, as Unix time in seconds, in the past if it is due; ``None`` if nobody waits."""
    last: list[Record]
    """Some of the attempts that ended last, the newest first."""


def _clearly(method: Callable[Concatenate[Campaign, P], T]) -> Callable[Concatenate[Campaign, P], T]:
    """A method that says in one error what the database did not do."""

    @wraps(method)
    def clearly(campaign: Campaign, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with campaign._database.clearly():  # pyright: ignore[reportPrivateUsage]
            return method(campaign, *args, **kwargs)

    return clearly


class Campaign:
    """A campaign in a database, whose every step is written down before and after it is done.

    Each method but `run`, which waits for the database, raises `ConfigurationError` if that does not do what it is asked: it cannot be
    reached, or another program keeps the file locked for a minute.

    :param address: the file of SQLite, or the address of the database of Postgres, in which `Campaign.make` made it.
    :raises ConfigurationError: there is no campaign in it, or a later version wrote it.
    """

    def __init__(self, address: Path | str) -> None:
        self._database = Database(address)
        self._store = Store(self._database)
        with self._database.clearly():
            self._store.campaign()

    @classmethod
    def make(
        cls,
        address: Path | str,
        name: str,
        settings: Settings,
        contacts: Iterable[Contact],
        *,
        do_not_call: Collection[str] = (),
    ) -> Campaign:
        """Make a campaign, of which nothing is done before `run`.

        :param address: where its file is made, or ``postgresql://user@host/name`` for a database of Postgres, which several machines can
            share. A database has one campaign.
        :param name: what it is called: letters, digits, ``_`` and ``-``, which stand in the keys of its calls.
        :param do_not_call: numbers in E.164 form that are not called, beside those on the lists of the settings.
        :raises ConfigurationError: there is a campaign in this database already, the file is the database of another program, two contacts
            have one id, one of `do_not_call` is no number, or a list of the settings cannot be used.
        """
        never = set(all_e164(do_not_call)).union(*(numbers_of(Path(each), settings.region) for each in settings.do_not_call))
        if settings.opt_outs is not None:
            path = Path(settings.opt_outs)
            if not path.parent.is_dir():
                raise ConfigurationError(f"opt_outs: there is no folder {path.parent}")
            if path.exists():
                never |= numbers_of(path, settings.region)
        database = Database(address, make=True)
        if database.path is not None:
            check_ours(database.path)
        with database.clearly():
            Store(database).make(name, settings, contacts, never)
        return cls(address)

    @_clearly
    def state(self) -> State:
        """How it stands. Any process may ask."""
        return self._state()

    def _state(self) -> State:
        name, _, status, note = self._store.campaign()
        if status == "held":
            return State(name, "paused", f"{note}; {_HELD}" if note else _HELD, self._store.counts(), held=True)
        return State(name, status, note, self._store.counts())

    @_clearly
    def attempts(self) -> list[dict[str, Any]]:
        """All attempts in order of time.

        Each has ``contact_id``, ``number`` and ``from_number``; ``at``, for which it was planned, and ``sent_at``, when the request left
        (Unix time in seconds, ``None`` before that); ``call_id``, ``result``, ``text`` (what the API said when it refused it), ``cents``,
        ``duration_ms`` and ``key``; and ``end``, which is that of the contact, on each of its attempts, and ``None`` as long as it goes on.
        """
        return self._store.attempts()

    @_clearly
    def report(self) -> str:
        """How it went, as one page of HTML, complete in itself: contacts, answers by the hour, cost. Numbers of people are masked."""
        state, zone = self._state(), self._store.campaign()[1].rules.zone
        told = f"{state.status} ({state.note})" if state.note else state.status
        with self._database.fast.connect() as connection:
            return page(state.name, told, state.counts, View(connection).records(), self._store.now(), zone=zone)

    @_clearly
    def progress(self, last: int = 5) -> Progress:
        """How it goes on. Any process may ask.

        :param last: so many attempts that ended last are told of.
        """
        now = self._store.now()
        with self._database.fast.connect() as connection:
            view = View(connection)
            return Progress(self.state(), view.pace(now), view.next_due(), view.last(last))

    @_clearly
    def caps(self) -> list[str]:
        """What keeps somebody waiting for the next day, in words: ``calls_per_day``, or ``per_day`` of numbers or of contacts."""
        rules = self._store.campaign()[1].rules
        with self._database.fast.connect() as connection:
            return View(connection).caps(rules, self._store.now())

    @_clearly
    def heard_ago(self) -> float | None:
        """Seconds since a process that runs it was heard of: fewer than its lease while one does; ``None`` if all that did have left."""
        return self._store.heard_ago()

    @_clearly
    def refusals(self) -> list[tuple[str, int]]:
        """What the API said of contacts that ended as ``refused``, each with how many there are, the most first."""
        with self._database.fast.connect() as connection:
            return View(connection).refusals()

    @_clearly
    def ends_about(self, live: int) -> float | None:
        """About when the last call is over, as Unix time in seconds, if all goes on as it went; ``None`` if nobody can say.

        It reads all contacts that wait: with 100,000 of them it takes seconds.

        :param live: so many calls go on at once as long as there is somebody to call.
        """
        rules, now = self._store.campaign()[1].rules, self._store.now()
        with self._database.fast.connect() as connection:
            view = View(connection)
            known, again = view.course()
            seconds = _GUESS if known is None else known
            pace = min(sum(number.per_second for number in rules.numbers), live / max(seconds, 0.1))
            last = ends_about(view.waiting(), rules, now, per_second=pace, again=again)
        return None if last is None else last + seconds

    @_clearly
    def pause(self) -> None:
        """Place no more calls, whichever process runs it, until `resume`; those that go on are followed to their end."""
        self._store.hold()

    @_clearly
    def resume(self) -> None:
        """Take a pause back: it goes on with the process that runs it, or else with the next `run`."""
        self._store.set_status("running", only_from=("paused", "held"))

    @_clearly
    def cancel(self) -> None:
        """Place no more calls, and never again. Those that go on are followed to their end by `run`, also by one that begins later.

        :raises ConfigurationError: it is done, so that nobody is called any more who is not to be `retry`'s.
        """
        if not self._store.set_status("cancelled", only_from=("running", "paused", "held", "cancelled")):
            raise ConfigurationError(f"the campaign {self._store.campaign()[0]} is done: it calls nobody, and there is nothing to cancel")

    @_clearly
    def retry(self, ends: Iterable[End] = _AGAIN) -> int:
        """Begin anew, with a new budget of attempts, with contacts that ended so; how many there are. It pauses if it was done.

        :raises ConfigurationError: there is no such end, or the campaign was cancelled.
        """
        ends = tuple(ends)
        for end in ends:
            if end not in get_args(End):
                raise ConfigurationError(f"{end!r} is no end of a contact: {', '.join(get_args(End))} are")
        return self._store.retry(ends)

    @_clearly
    def do_not_call(self, *numbers: str) -> None:
        """Call nobody any more who has one of these numbers, whichever process runs it. They are written back like those of calls.

        :raises ConfigurationError: one is no number, which is named; then none was added.
        """
        self._store.forbid(all_e164(numbers, self._store.campaign()[1].region))

    async def run(
        self,
        client: AsyncRetell,
        *,
        router: Events | None = None,
        on_state: Callable[[State], None] | None = None,
        on_opt_out: Callable[[str], Awaitable[object]] | None = None,
        lease: float = LEASE,
        stop: anyio.Event | None = None,
    ) -> State:
        """Place calls by the rules until every contact has come to an end, or until somebody pauses or cancels it, and give how it stands.

        What paused by itself goes on with it, and so does what was done and has contacts again. What somebody paused stays so until
        `resume`: calls that went on are followed to their end, and no further one is placed. So it is where a campaign was cancelled while
        calls went on.

        Under asyncio, and once in a process at a time. After a kill it goes on where it was. On Postgres as many processes as you like run
        it together, on machines of their own.

        If the API refuses the key or the account, it pauses and comes back, within a minute where calls go on: the next run follows those.

        A database that does not answer is waited for, which is logged. It does not hold up who leaves: a run that is cancelled, or on
        Postgres stopped, ends within ten seconds.

        :param router: a `webhooks.Router` that gets the account's events: these tell of ends at once, and of opt-outs in any call.
        :param on_state: called now and then with how it stands.
        :param on_opt_out: an async function that gets the number of whoever wants no more calls, at least once, also of those who said so
            while nothing was given here. If it raises, that is logged, and it is called again.
        :param lease: seconds after which others go on with the calls of a process that is not heard of any more, the same for all.
        :param stop: once it is set this process places no more calls, follows those that go on to their end, and comes back; where others
            may run the campaign too it comes back at once, and they follow its calls. The campaign goes on with the next `run`.
        :raises APIError: the account does not say how many calls it may have, for another reason than an outage, which is waited for. A
            refused key or account is raised where that cannot pause the campaign, since somebody has paused or cancelled it, or it is done.
        :raises ConfigurationError: it was cancelled and no call goes on, another process runs it from a file, a later version took it over,
            something else uses DBOS in this process, it was stopped while the database did not answer, or the database is damaged or grants
            too little.
        """
        if not is_asyncio(running_loop()):
            raise ConfigurationError("a campaign runs under asyncio: DBOS, on which it stands, knows no other")
        from .workflow import check_environment  # who lacks DBOS is told so before anything else

        check_environment()
        if not 1 <= lease < math.inf:
            raise ConfigurationError(f"lease must be 1 second or more, not {lease!r}")
        if router is not None:
            check_router(router)
        stop = stop or anyio.Event()
        state: State | None = None
        wrong: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(tell_of_silence)
                tasks.start_soon(self._hurry_to_leave, stop, tasks.cancel_scope)
                try:
                    state = await self._run(client, router, on_state, on_opt_out, lease, stop)
                except Exception as error:  # noqa: BLE001 - which the group would make another of
                    wrong = error
                tasks.cancel_scope.cancel()
        finally:
            self._database.calm()
        if wrong is not None:
            lasting = ExceptionGroup("", [wrong]).subgroup(is_lasting)  # all that ask at the same time are told so
            if lasting is not None:
                raise self._database.lasting(first_of(lasting)) from None
            raise wrong
        if state is None:
            raise ConfigurationError(f"{self._database.shown}: the database does not answer: the campaign goes on with the next run")
        return state

    async def _hurry_to_leave(self, stop: anyio.Event, scope: anyio.CancelScope) -> None:
        """Let a database that does not answer hold up nobody who leaves."""
        try:
            await stop.wait()
            if self._database.path is not None:
                await anyio.sleep_forever()  # calls are followed to their end, and that is written
            self._database.hurry()
            waited = False
            while not (waited and is_waiting()):
                waited = is_waiting()
                await anyio.sleep(_TOLD)
            scope.cancel()
        finally:
            self._database.hurry()

    async def _run(
        self,
        client: AsyncRetell,
        router: Events | None,
        on_state: Callable[[State], None] | None,
        on_opt_out: Callable[[str], Awaitable[object]] | None,
        lease: float,
        stop: anyio.Event,
    ) -> State:
        name, settings, status, _ = await patiently(self._store.campaign)
        if status == "cancelled" and not await patiently(self._store.open_attempts):
            raise ConfigurationError(f"the campaign {name} was cancelled")
        slots = CallSlots(client)
        every = None if router is None else _LOOK_AT_CALLS
        opt_outs = OptOuts(self._store, settings, on_opt_out)
        if router is not None:
            opt_outs.listen(router)
        for line in await opt_outs.read():
            raise ConfigurationError(line)
        ends = Ends(client.call, router, within=FOLLOWED, every=every)
        task = asyncio.current_task()
        cancelling = task.cancelling() if task is not None else 0
        with self._database.alone():
            try:
                live = settings.live or await self._limit(slots, stop)
            except REFUSALS as error:
                return await self._refused(error)
            is_first = True
            while True:
                number, token = await patiently(self._store.enter, alone=self._database.path is not None)
                if is_first:
                    await patiently(self._store.go_on)
                is_first = False
                _, settings, _, _ = await patiently(self._store.campaign)
                worker = Worker(number, self._store, settings, Placing(client), ends, slots, lease, live, stop)
                try:
                    state = await self._work(worker, token, opt_outs, on_state)
                except BaseExceptionGroup as group:
                    if (rest := group.split(LeaseLost)[1]) is not None:
                        _raise(rest)
                    # It stood still for so long that others went on with its calls: it comes back as a new one, unless it was cancelled
                    # meanwhile, which a group of tasks does not say when one of them raises.
                    if task is not None and task.cancelling() > cancelling:
                        await checkpoint_if_cancelled()  # by a scope of anyio, which knows its own cancellation alone
                        raise asyncio.CancelledError from None
                else:
                    await opt_outs.tell()
                    return state

    async def _limit(self, slots: CallSlots, stop: anyio.Event) -> int:
        """How many calls the account may have at once; 1 if it did not say that before somebody stopped: then none is placed."""
        told = False
        while not stop.is_set():
            try:
                return max(await slots.limit(), 1)
            except APIError as error:
                if not is_transient(error):
                    raise
                if not told:
                    told = True
                    why = mask_text(str(error))
                    _logger.warning("campaign: the account does not say how many calls it may have (%s); it is asked until it does", why)
            with anyio.move_on_after(_ASKED_AGAIN):
                await stop.wait()
        return 1

    async def _work(self, worker: Worker, token: str, opt_outs: OptOuts, on_state: Callable[[State], None] | None) -> State:
        from .workflow import executor, serving

        most = worker.live + max(int(worker.live * _AHEAD), 2)
        try:
            async with serving(self._database.fast, executor(token, worker.id), worker, WAITS * most) as tasks:
                tasks.start_soon(self._beat, worker)
                tasks.start_soon(self._mend, worker, token)
                tasks.start_soon(opt_outs.keep_telling)
                try:
                    state = await self._feed(most, on_state, worker)
                    async with opt_outs.telling:
                        return state
                except asyncio.CancelledError:
                    self._database.hurry()  # here, as `task.cancel` is heard of nowhere else before all threads are back
                    raise
        finally:
            with anyio.move_on_after(_LEAVING, shield=True):
                await patiently(self._store.leave, worker.id)

    async def _beat(self, worker: Worker) -> None:
        """Write that the worker is alive."""
        own = CapacityLimiter(1)  # a thread of its own, so that it waits for no other
        while True:
            await patiently(self._store.beat, worker.id, worker.lease, limiter=own)
            await worker.look_at_clock()
            await anyio.sleep(worker.lease / _BEATS)

    async def _mend(self, worker: Worker, token: str) -> None:
        """See to it that what others leave undone goes on: one of the workers does, that which is the longest."""
        from .workflow import executor, mend

        async def renew(key: str, runs: int) -> None:
            await patiently(self._store.renew, key, runs)

        async def alive() -> set[str]:
            return {executor(token, each) for each in await patiently(self._store.alive, worker.lease)}

        while True:
            if min(await patiently(self._store.alive, worker.lease), default=None) == worker.id:
                await mend(await patiently(self._store.open_attempts), alive, renew)
            await anyio.sleep(worker.lease / _BEATS)

    async def _refused(self, error: Exception) -> State:
        """Pause, since the API refuses the key or the account, and give how it stands.

        :raises Exception: the error, where that is not why it stands still.
        """
        await patiently(self._store.set_status, "paused", mask_text(str(error)), only_from=("running", "paused"))
        state = await patiently(self._state)
        if state.status != "paused" or state.held:
            raise error
        return state

    async def _feed(self, most: int, on_state: Callable[[State], None] | None, worker: Worker) -> State:
        """Give what is due to the queue, as long as there is room, until nothing is left."""
        from .workflow import enqueue

        told_at = 0.0
        while True:
            if worker.refusal is not None:
                return await self._refused(worker.refusal)
            if worker.stop.is_set():
                if self._database.path is None or not await patiently(self._store.open_attempts):
                    return await patiently(self._state)
                await anyio.sleep(_TICK)
                continue
            found = await patiently(self._store.next_intent, most)
            if isinstance(found, Intent):
                await enqueue(found.key, 0)
                continue
            if on_state is not None and time.monotonic() >= told_at + _TOLD:
                told_at = time.monotonic()
                on_state(await patiently(self._state))
            if not found.open and found.at != 0:
                if found.at is None:
                    await patiently(self._store.finish)
                state = await patiently(self._state)
                if state.status != "running":
                    if on_state is not None:
                        on_state(state)
                    return state
            await anyio.sleep(_BREATH if found.at == 0 else _TICK)


def _raise(group: BaseExceptionGroup[BaseException]) -> NoReturn:
    """Raise what went wrong: by itself, if it is one thing."""
    superseded, rest = group.split(Superseded)
    if superseded is not None and rest is None:
        raise ConfigurationError(str(first_of(superseded))) from None
    raise group if rest is None or len(rest.exceptions) > 1 else first_of(rest)
