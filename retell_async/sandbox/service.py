"""The sandbox: the API on one account, from a request to its answer. No I/O but the journal's."""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from .common.guard import contain_errors, log_warning
from .common.messages import Answer, Incoming, Json, Refused
from .faults.active import ActiveFault, Faults
from .faults.fault import Fault
from .openapi.document import Document, Route, packaged_document
from .openapi.names import check_field, operation_id
from .operations import handler_of
from .outgoing import inbound
from .outgoing.call_runner import CallRunner
from .outgoing.chat_runner import ChatRunner
from .outgoing.inbound import PendingInbound
from .outgoing.llm_session import Session
from .outgoing.outbox import AttemptResult, Delivery, Outbox
from .state.clock import Clock
from .state.journal import Entry, Journal
from .state.request_log import RequestLog
from .state.settings import Settings
from .state.store import Store

__all__ = ["Sandbox"]

# It is let in where any key is. With its spaces it is no valid key, so that it does not become the account's.
_NO_KEY = "the sandbox itself"
_KEY = re.compile(r"[!-~]+")
_ENTRIES = frozenset(
    {"request", "ring", "write", "attempted", "session_event", "fault", "no_fault", "no_faults", "key", "begun", "send_again"}
)
"""The kinds of entries of a journal. Files have these words, so they stay as they are."""


class Sandbox:
    """The API on one account, with its state in memory. Two sandboxes share nothing.

    :param settings: the settings of the account.
    :param clock: the sandbox's time; real time unless given.
    :param journal: restores the state, and keeps it from then on.
    :raises ValueError: the journal cannot be replayed: this version answers otherwise than the one that wrote it.
    """

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None, journal: Journal | None = None) -> None:
        self.store = Store(settings, clock)
        self.outbox = Outbox(self.store.scheduler)
        self._call_runner = CallRunner(self.store, self.outbox)
        ChatRunner(self.store, self.outbox)
        self.store.clock.watch(self._clock_moved)
        self._document: Document = packaged_document()
        self.faults = Faults(self._document.routes, self._document.events)
        self.outbox.effect_on = self.faults.effect_on_delivery
        self.log = RequestLog()
        self._journal: Journal | None = None
        if journal is not None:
            self._restore(journal)

    @property
    def sessions(self) -> Mapping[str, Session]:
        """Ongoing custom-LLM conversations, by the ids of their calls."""
        return self._call_runner.sessions

    @property
    def operations(self) -> list[str]:
        """The ids of the API's operations."""
        return sorted(self._document.routes)

    @property
    def events(self) -> list[str]:
        """The names of the webhook events."""
        return sorted(self._document.events)

    def operation(self, method: str, path: str) -> str | None:
        """The id of the operation of a request; ``None`` when there is none of that method and path."""
        found = self._document.match(method, path)
        return None if found is None else found[0].id

    def operation_named(self, name: str) -> str:
        """The id of an operation that is given by its id or by the client's name for it, such as ``call.create_phone_call``.

        :raises ValueError: there is no such operation; the message names some that are near.
        """
        return operation_id(name, self._document.routes)

    def path_of(self, name: str, *values: str) -> str:
        """The path of an operation that is given by its id or by the client's name for it, with these parameters in it.

        :raises ValueError: there is no such operation; the message names some that are near.
        """
        route = self._document.routes[self.operation_named(name)]
        path = route.path
        for parameter, value in zip(route.names, values, strict=True):
            path = path.replace(f"{{{parameter}}}", quote(value, safe=""))
        return path

    def check_fields(self, operation: str | None, fields: Iterable[str]) -> None:
        """Check that the JSON body of an operation can have these fields, or that they were sent all the same.

        :param operation: its id; ``None`` for any.
        :raises ValueError: the operation does not take one of them; the message names some that are near.
        """
        known = self._document.fields(operation)
        for field in set(fields) - known:
            sent = (received.body for received in self.log if operation in {None, received.operation})
            if not any(isinstance(body, dict) and field in body for body in sent):
                check_field(field, known, operation or "an operation")

    def answer(
        self, method: str, path: str, *, query: str = "", authorization: str = "", content_type: str = "", content: bytes = b""
    ) -> Answer:
        """The API's answer, faults aside.

        :param path: as it was sent, still percent-encoded.
        """
        try:
            found = self._document.match(method, path)
            if found is None:
                raise Refused(404, "no operation of the API that this package knows")
            self._authenticate(authorization)
            route, values = found
            incoming = route.read(values, query, content, content_type)
            with self.store.frozen_time() as now:
                if not route.changes:
                    self.mark_seen(now)
                    return self._carry_out(route, incoming)
                number = self._record(
                    now, "request", {"method": method, "path": path, "query": query, "content_type": content_type}, content
                )
                answer = self._carry_out(route, incoming)
                self._record_status(number, answer.status)
                return answer
        except Refused as refused:
            return refused.answer()

    def refusal(self, authorization: str) -> int | None:
        """The status with which a request is refused that has this authorization; ``None`` if it is let in."""
        try:
            self._authenticate(authorization)
        except Refused as refused:
            return refused.status
        return None

    def post(self, path: str, fields: Json) -> Answer:
        """The API's answer to a POST of the sandbox itself. It is not logged and meets no faults."""
        return self.answer(
            "POST",
            path,
            authorization=f"Bearer {self.store.settings.api_key or _NO_KEY}",
            content_type="application/json",
            content=json.dumps(fields).encode(),
        )

    def ring(self, from_number: str, to_number: str, headers: Mapping[str, str] | None = None) -> PendingInbound:
        """Let somebody call a number of the account. Its inbound webhook is asked, and an agent takes the call or nobody does.

        :param headers: the caller's SIP headers.
        :raises ValueError: the account has no such number, or the caller's number cannot be sent.
        :raises Refused: the journal cannot be written to.
        """
        headers = dict(headers or {})
        with self.store.frozen_time() as now:
            inbound.check(self.store, from_number, to_number)
            self._record(now, "ring", {"from_number": from_number, "to_number": to_number, "headers": headers})
            return inbound.ring(self.store, self.outbox, from_number, to_number, headers)

    def write(self, from_number: str, to_number: str, text: str) -> PendingInbound:
        """Let somebody send a text message to a number of the account, as `ring` lets them call.

        :raises ValueError: the account has no such number, or the sender's number cannot be sent.
        :raises Refused: the journal cannot be written to.
        """
        with self.store.frozen_time() as now:
            inbound.check(self.store, from_number, to_number)
            self._record(now, "write", {"from_number": from_number, "to_number": to_number, "text": text})
            return inbound.write(self.store, self.outbox, from_number, to_number, text)

    def set_fault(self, fault: Fault) -> ActiveFault:
        """Set a fault from now on. Faults are not restored from a journal.

        :raises ValueError: there is no such operation or event.
        :raises Refused: the journal cannot be written to.
        """
        self.faults.check(fault)
        with self.store.frozen_time() as now:
            self._record(now, "fault", fault.to_dict())
            return self.faults.add(fault)

    def remove_fault(self, id: int) -> None:
        """Remove a fault.

        :raises KeyError: no such fault is set.
        """
        if id not in {active.id for active in self.faults}:
            raise KeyError(id)
        self._record_and_apply("no_fault", {"id": id})

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._record_and_apply("no_faults", {})

    def attempted(self, delivery_id: str, result: AttemptResult) -> None:
        """Take the result of an attempt to deliver something."""
        fields = {
            "delivery_id": delivery_id,
            "status": result.status,
            "problem": result.problem,
            "seconds": result.seconds,
            "signature": result.signature,
        }
        self._record_and_apply("attempted", fields, result.content)

    def send_again(self, delivery_id: str) -> Delivery:
        """Deliver something once more. The answer changes nothing in the sandbox.

        :raises KeyError: it is not in the outbox's log.
        :raises Refused: the journal cannot be written to.
        """
        with self.store.frozen_time() as now:
            if self.outbox.get(delivery_id) is None:
                raise KeyError(delivery_id)
            self._record(now, "send_again", {"delivery_id": delivery_id})
            return self.outbox.again(delivery_id, now)

    def session_event(self, call_id: str, what: str, **about: Any) -> None:
        """Take an event of the connection to a custom LLM: ``opened``, ``failed``, ``received``, ``binary``, ``closed`` or ``parted``."""
        self._record_and_apply("session_event", {"call": call_id, "what": what, **about})

    def _clock_moved(self) -> None:
        self.store.scheduler.notify()

    def mark_seen(self, now: int) -> None:
        """Note that somebody sees this time, so that it does not come again after a restart."""
        if self._journal is not None:
            try:
                self._journal.mark_seen(now)
            except Refused as refused:
                log_warning(refused.message)  # who reads changes nothing, so that the answer is given all the same

    def _record_and_apply(self, what: str, data: Json, content: bytes = b"") -> None:
        with self.store.frozen_time() as now:
            self._record(now, what, data, content)
            self._apply(what, data, content)

    def _apply(self, what: str, data: Json, content: bytes) -> None:
        with contain_errors(what):  # a failure here is the same failure when the journal is replayed
            self._apply_entry(what, data, content)

    def _apply_entry(self, what: str, data: Json, content: bytes) -> None:
        match what:
            case "ring":
                inbound.ring(self.store, self.outbox, data["from_number"], data["to_number"], data["headers"])
            case "write":
                inbound.write(self.store, self.outbox, data["from_number"], data["to_number"], data["text"])
            case "attempted":
                self.outbox.attempted(
                    data["delivery_id"],
                    AttemptResult(data["status"], content, data["problem"], data["seconds"], data.get("signature", "")),
                    self.store.now(),
                )
            case "send_again":
                self.outbox.again(data["delivery_id"], self.store.now())
            case "session_event":
                self._call_runner.session_event(**data)
            case "fault":
                self.faults.add(Fault.from_dict(data))
            case "no_fault":
                self.faults.remove(data["id"])
            case "no_faults":
                self.faults.clear()
            case "key":
                self.store.key = data["key"]
            case _:
                self.store.begin(data["callers"], data["speed"])

    def _record(self, at: int, what: str, data: Json, content: bytes = b"") -> int | None:
        return None if self._journal is None else self._journal.add(Entry(at, what, data, content))

    def _record_status(self, number: int | None, status: int) -> None:
        if self._journal is not None and number is not None:
            try:
                self._journal.answered(number, status)
            except Refused as refused:
                log_warning(refused.message)  # the request is in the journal, which is enough to replay it

    def _restore(self, journal: Journal) -> None:
        for entry in journal:
            data = entry.data
            if entry.what not in _ENTRIES:
                raise ValueError(f"the journal has an entry that this version does not know: {entry.what}")
            if entry.what != "request":
                with self.store.frozen_time(entry.at):
                    self._apply(entry.what, data, entry.content)
                continue
            found = self._document.match(data["method"], data["path"])
            if found is None:
                raise ValueError("the journal has a request that this version does not know")
            route, values = found
            incoming = route.read(values, data["query"], entry.content, data["content_type"])
            with self.store.frozen_time(entry.at):
                status = self._carry_out(route, incoming).status
            if entry.status not in {None, status}:
                raise ValueError(f"this version answers {route.id} otherwise than the one that wrote the journal")
        self._journal = journal
        try:
            self._resume(journal)
        except Refused as refused:
            raise ValueError(refused.message) from None

    def _resume(self, journal: Journal) -> None:
        real = time.time() * 1000
        if journal.last:
            real = max(real, self.store.real_at(journal.last))
        self._record_and_apply("begun", {"callers": real, "speed": self.store.clock.speed})
        if len(self.faults):
            self.clear_faults()
        for call_id, session in list(self.sessions.items()):
            if session.connected:
                self.session_event(call_id, "closed", code=1006)

    def _carry_out(self, route: Route, incoming: Incoming) -> Answer:
        answer = Refused(500, "the sandbox failed on this request").answer()
        with contain_errors(route.id):  # a failure here is the same failure when the journal is replayed
            try:
                answer = self._call_handler(route, incoming)
            except Refused as refused:
                answer = route.as_documented(refused).answer()
        return answer

    def _call_handler(self, route: Route, incoming: Incoming) -> Answer:
        handler = handler_of(self._document, route)
        if self.store.settings.trial_over and 402 in route.statuses:
            raise Refused(402, "the trial is over: add a payment method")
        try:
            body = handler(self.store, incoming)
        except Refused:
            if route.refuses or not incoming.query:
                raise
            body = handler(self.store, Incoming(incoming.path, {}, incoming.body))
        return Answer(route.status, body if route.answer is None else self._document.completed(route.answer, body))

    def _authenticate(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        only, key = self.store.settings.api_key, key.strip()
        if scheme.lower() != "bearer" or not key or not (only is None or hmac.compare_digest(key.encode(), only.encode())):
            raise Refused(401, "the API key is missing or wrong")
        if self.store.key is None and _KEY.fullmatch(key):
            self._record_and_apply("key", {"key": key})
