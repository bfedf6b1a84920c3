"""From a request to its answer, without I/O."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any

from . import calling
from .calling import Ringing
from .clock import Clock
from .document import Document, Route, packaged
from .errands import Errand, Heard
from .exchange import Answer, Incoming, Json, Refused
from .faults import Fault, Faults, Struck
from .following import Following
from .log import Log
from .operations import HANDLERS, generic
from .persistence import Entry, Journal
from .store import Settings, Store

__all__ = ["Sandbox"]

_KEY = re.compile(r"[!-~]+")


class Sandbox:
    """The API on one account, with its state in memory. Two sandboxes share nothing.

    :param settings: what the account is like.
    :param clock: the sandbox's time; it runs like that of a clock on the wall unless another is given.
    :param journal: what the state is brought back from and kept in.
    :raises ValueError: the journal does not lead to a state: this version answers otherwise than the one that wrote it.
    """

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None, journal: Journal | None = None) -> None:
        self.store = Store(settings, clock)
        self.following = Following(self.store)
        self.store.clock.watch(self._clock_moved)
        self.faults = Faults()
        self.store.errands.deliver = self.faults.deliver
        self.log = Log()
        self._document: Document = packaged()
        self._journal: Journal | None = None
        if journal is not None:
            self._bring_back(journal)

    @property
    def operations(self) -> list[str]:
        """The ids of the API's operations."""
        return sorted(self._document.routes)

    def operation(self, method: str, path: str) -> str | None:
        """The id of the operation that a request is for; ``None`` when the API has none of that method and path."""
        found = self._document.match(method, path)
        return None if found is None else found[0].id

    def answer(
        self, method: str, path: str, *, query: str = "", authorization: str = "", content_type: str = "", content: bytes = b""
    ) -> Answer:
        """What the API answers, faults aside. The path as it was sent, escapes and all; of headers, two are all that it looks at."""
        try:
            found = self._document.match(method, path)
            if found is None:
                raise Refused(404, "the API has no such operation")
            self._let_in(authorization)
            route, values = found
            incoming = route.read(values, query, content, content_type)
            with self.store.standing() as now:
                answer = self._carry_out(route, incoming)
                if route.changes:
                    request = {"method": method, "path": path, "query": query, "content_type": content_type, "status": answer.status}
                    self._keep(now, "request", request, content)
                return answer
        except Refused as refused:
            return refused.answer()

    def ring(self, from_number: str, to_number: str, headers: Mapping[str, str] | None = None) -> Ringing:
        """Let somebody call a number of the account: its webhook is asked, and an agent takes the call, or nobody does.

        :param headers: SIP headers of the caller's side.
        :raises ValueError: the account has no such number.
        """
        headers = dict(headers or {})
        with self.store.standing() as now:
            ringing = calling.ring(self.store, from_number, to_number, headers)
            self._keep(now, "ring", {"from_number": from_number, "to_number": to_number, "headers": headers})
            return ringing

    def write(self, from_number: str, to_number: str, text: str) -> Ringing:
        """Let somebody write to a number of the account, as `ring` lets them call.

        :raises ValueError: the account has no such number.
        """
        with self.store.standing() as now:
            waiting = calling.write(self.store, from_number, to_number, text)
            self._keep(now, "write", {"from_number": from_number, "to_number": to_number, "text": text})
            return waiting

    def set_fault(self, fault: Fault) -> Struck:
        """Let something go wrong from now on. Faults end with the process, whatever is kept in a journal."""
        with self.store.standing() as now:
            struck = self.faults.add(fault)
            self._keep(now, "fault", fault.to_dict())
            return struck

    def remove_fault(self, id: int) -> None:
        """Let it go well again.

        :raises KeyError: no such fault is set.
        """
        self._note("no_fault", {"id": id})

    def clear_faults(self) -> None:
        """Let all go well again."""
        self._note("no_faults", {})

    def heard(self, errand_id: str, heard: Heard) -> None:
        """Take in what came of an attempt to run an errand."""
        fields = {
            "errand": errand_id,
            "status": heard.status,
            "problem": heard.problem,
            "seconds": heard.seconds,
            "signature": heard.signature,
        }
        self._note("heard", fields, heard.content)

    def send_again(self, errand_id: str) -> Errand:
        """Send one of the last webhooks, inbound requests or custom functions once more; nothing comes of the answer.

        :raises KeyError: it is none of the last ones.
        """
        with self.store.standing() as now:
            errand = self.store.errands.again(errand_id, now)
            self._keep(now, "again", {"errand": errand_id})
            return errand

    def conversed(self, call_id: str, what: str, **about: Any) -> None:
        """Take in what came over the connection to a custom LLM: ``opened``, ``failed``, ``received``, ``binary`` or ``closed``."""
        self._note("conversed", {"call": call_id, "what": what, **about})

    def _clock_moved(self) -> None:
        self.store.agenda.news()

    def _note(self, what: str, data: Json, content: bytes = b"") -> None:
        with self.store.standing() as now:
            self._take_in(what, data, content)
            self._keep(now, what, data, content)

    def _take_in(self, what: str, data: Json, content: bytes) -> None:
        match what:
            case "ring":
                calling.ring(self.store, data["from_number"], data["to_number"], data["headers"])
            case "write":
                calling.write(self.store, data["from_number"], data["to_number"], data["text"])
            case "heard":
                self.store.errands.attempted(
                    data["errand"],
                    Heard(data["status"], content, data["problem"], data["seconds"], data.get("signature", "")),
                    self.store.now(),
                )
            case "again":
                self.store.errands.again(data["errand"], self.store.now())
            case "conversed":
                self.following.take_in(**data)
            case "fault":
                self.faults.add(Fault.from_dict(data))
            case "no_fault":
                self.faults.remove(data["id"])
            case "no_faults":
                self.faults.clear()
            case "key":
                self.store.key = data["key"]
            case _:
                raise ValueError(f"the journal has an entry that this version does not know: {what}")

    def _keep(self, at: int, what: str, data: Json, content: bytes = b"") -> None:
        if self._journal is not None:
            self._journal.add(Entry(at, what, data, content))

    def _bring_back(self, journal: Journal) -> None:
        for entry in journal:
            data = entry.data
            if entry.what != "request":
                with self.store.standing(entry.at):
                    self._take_in(entry.what, data, entry.content)
                continue
            found = self._document.match(data["method"], data["path"])
            if found is None:
                raise ValueError("the journal has a request that this version does not know")
            route, values = found
            incoming = route.read(values, data["query"], entry.content, data["content_type"])
            with self.store.standing(entry.at):
                status = self._carry_out(route, incoming).status
            if status != data["status"]:
                raise ValueError(f"this version answers {route.id} otherwise than the one that wrote the journal")
        self._journal = journal
        if len(self.faults):
            self.clear_faults()
        for call_id, session in list(self.following.sessions.items()):
            if session.connected:
                self.conversed(call_id, "closed", code=1006)

    def _carry_out(self, route: Route, incoming: Incoming) -> Answer:
        handler = HANDLERS.get(route.id) or generic.handler(self._document, route)
        try:
            if self.store.settings.trial_over and 402 in route.statuses:
                raise Refused(402, "the trial is over: add a payment method")
            try:
                return Answer(route.status, handler(self.store, incoming))
            except Refused:
                if route.refuses or not incoming.query:
                    raise
                return Answer(route.status, handler(self.store, Incoming(incoming.path, {}, incoming.body)))
        except Refused as refused:
            return route.as_documented(refused).answer()

    def _let_in(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        only, key = self.store.settings.api_key, key.strip()
        if scheme.lower() != "bearer" or not key or not (only is None or hmac.compare_digest(key.encode(), only.encode())):
            raise Refused(401, "the API key is missing or wrong")
        if self.store.key is None and _KEY.fullmatch(key):
            self._note("key", {"key": key})
