"""The sandbox in tests: in the same process, a new one for each test.

The pytest plugin comes with the package. In a test, ``retell_client`` is a client of ``retell_sandbox``, and nothing leaves the process:

```python
@pytest.mark.retell_sandbox(outcomes={"dial_busy": 1})
async def test_a_busy_line_is_tried_again(retell_sandbox, retell_client):
    number = retell_sandbox.create_fixtures().phone_number
    ...
    await retell_sandbox.advance(60)
    retell_sandbox.assert_placed("+12015550100", times=2)
```

Without pytest, use `LocalRetell`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx

from ._client import AsyncRetell
from ._core.masking import mask, mask_text
from ._engine.retry import RetryPolicy
from .sandbox import Clock, Sandbox, Settings, SteppedClock
from .sandbox.common.guard import log_warning
from .sandbox.faults.active import ActiveFault
from .sandbox.faults.fault import Fault, FaultKind
from .sandbox.faults.replies import Reply
from .sandbox.fixtures import Fixtures, create_fixtures
from .sandbox.http.control import answer as control_answer, placed
from .sandbox.http.monitor import Watchers
from .sandbox.http.pipeline import receive
from .sandbox.outgoing.sender import Sender
from .sandbox.state.request_log import LoggedRequest

__all__ = ["LocalRetell", "SandboxTransport"]

_BASE_URL = "http://retell.sandbox"
_API_KEY = "key_of_the_sandbox"
_QUICK = RetryPolicy(first_delay=0.01)


class SandboxTransport(httpx.AsyncBaseTransport):
    """Answers a client's requests from a sandbox in the same process, for `httpx.AsyncClient`.

    Faults raise the errors that httpx raises on a network. A timeout is raised at once, without waiting.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._watchers = Watchers(sandbox)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        if request.headers.get("upgrade", "").lower() == "websocket":
            from .sandbox.http.monitor_stream import monitor_response

            return monitor_response(self._watchers, request, path)
        content = await request.aread()
        beside = control_answer(self._sandbox, request.method, path, query, content)
        if beside is not None:
            return _response(beside, request)
        pending = receive(
            self._sandbox,
            request.method,
            path,
            query=query,
            authorization=request.headers.get("authorization", ""),
            content_type=request.headers.get("content-type", ""),
            content=content,
        )
        patience = request.extensions.get("timeout", {}).get("read")
        if patience is not None and pending.delay >= patience:
            pending.finish()
            raise httpx.ReadTimeout("the answer comes too late", request=request)
        await anyio.sleep(pending.delay)
        return _response(pending.finish(), request)


def _response(reply: Reply, request: httpx.Request) -> httpx.Response:
    if reply.ending == "silence":
        raise httpx.ReadTimeout("no answer comes", request=request)
    if reply.status is None:
        raise httpx.ReadError("the connection was reset", request=request)
    if reply.ending == "truncated":
        return httpx.Response(reply.status, headers=reply.headers, stream=_Truncated(reply.sent), request=request)
    return httpx.Response(reply.status, headers=reply.headers, content=reply.content, request=request)


class _Truncated(httpx.AsyncByteStream):
    def __init__(self, sent: bytes) -> None:
        self._sent = sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._sent
        raise httpx.RemoteProtocolError("the connection was closed in the middle of the answer")


class LocalRetell:
    """A sandbox for tests: its clients, its time, its faults, and the requests that it received.

    :param settings: the settings of its account.
    :param clock: its time; unless given, it stands still until `advance` moves it.
    """

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.sandbox = Sandbox(settings, SteppedClock() if clock is None else clock)
        self._sender = Sender(self.sandbox)
        self._app_is_silent = False  # and nobody was told

    def send_to(self, app: Callable[..., Any] | httpx.AsyncBaseTransport) -> None:
        """Send webhooks and the like to an application in this process, or over a transport, whatever their URLs.

        Events are sent where an agent or the account has a webhook: ``create_fixtures(webhook_url="http://any.example/retell/events")``, or
        `webhook_url` of the `Settings`. The path is that of the application, and `api_key` has signed them.

        WebSockets of custom LLMs go there too: the agent's ``llm_websocket_url`` needs the application's path and secret, and any host.

        :param app: an ASGI application, such as a `retell_async.webhooks.Router`, a `retell_async.llm.App`, or one with both.
        """
        self._app_is_silent = True
        if isinstance(app, httpx.AsyncBaseTransport):
            self._sender = Sender(self.sandbox, app)
        else:
            self._sender = Sender(self.sandbox, httpx.ASGITransport(app), app)

    @property
    def api_key(self) -> str:
        """The API key of its clients. It also signs webhooks, unless the settings have a ``webhook_key``."""
        return self.sandbox.store.settings.api_key or _API_KEY

    def client(self, **options: Any) -> AsyncRetell:
        """A client whose requests this sandbox answers without a network. It retries quickly.

        :param options: as for `AsyncRetell`.
        """
        http = httpx.AsyncClient(transport=SandboxTransport(self.sandbox))
        usual: dict[str, Any] = {"api_key": self.api_key, "base_url": _BASE_URL, "http_client": http, "retry": _QUICK}
        return AsyncRetell(**usual | options)

    @contextmanager
    def serving(self, host: str = "127.0.0.1", port: int = 0) -> Generator[str]:
        """Listen on a port while the context lasts, in a thread of its own, and give the URL.

        Meanwhile webhooks go over the network, even after `send_to`.

        :raises OSError: the port is taken, or the host is not an address of this machine.
        """
        from .sandbox.http.server import in_thread

        before = self._sender
        with in_thread(self.sandbox, host, port) as served:
            self._sender = served.sender
            try:
                yield served.url
            finally:
                self._sender = before

    def create_fixtures(self, **agent: Any) -> Fixtures:
        """Create an LLM, an agent and a phone number to call from.

        :param agent: fields of the agent.
        """
        return create_fixtures(self.sandbox, **agent)

    furnish = create_fixtures  # the older name, for one release

    @property
    def now(self) -> int:
        """The sandbox's time, in milliseconds since the epoch."""
        return self.sandbox.store.now()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep the WebSockets of custom LLMs open while the context lasts.

        Without it, each `advance` opens them and leaves them at its end: to the application, the call goes on elsewhere then.
        """
        async with self._sender.at_work():
            yield

    async def advance(self, seconds: float) -> None:
        """Move the sandbox's time forward. Calls ring, are answered, end and are analysed meanwhile, and their webhooks are delivered.

        :raises TypeError: the clock runs by itself.
        """
        await self._sender.advance(seconds)
        calls = self.sandbox.store.calls.newest_first() if self._app_is_silent else []
        if any(call.params.endpoints is None for call in calls) and not self.sandbox.outbox.log:
            self._app_is_silent = False
            log_warning(
                "send_to: nothing was sent to the application, since neither the agent nor the account has a webhook: "
                'give one, such as create_fixtures(webhook_url="http://any.example/retell/events")'
            )

    def fault(self, kind: FaultKind, /, **fields: Any) -> ActiveFault:
        """Set a fault from now on; its ``count`` tells how often it struck.

        :param fields: as for `retell_async.sandbox.Fault`.
        :raises ValueError: a field has a wrong value, or there is no such operation; the message names some that are near.
        """
        return self.sandbox.set_fault(Fault.from_dict({"kind": kind, **fields}))

    def clear_faults(self) -> None:
        self.sandbox.clear_faults()

    def requests(self, operation: str | None = None, **fields: Any) -> list[LoggedRequest]:
        """The requests that were received, oldest first.

        :param operation: an operation, by its id in the API's document (``createPhoneCall``) or by the client's name for it
            (``call.create_phone_call``); ``None`` for any.
        :param fields: fields of the JSON body, with their values.
        :raises ValueError: there is no such operation, or it does not take such a field; the message names some that are near.
        """
        id = None if operation is None else self.sandbox.operation_named(operation)
        self.sandbox.check_fields(id, fields)
        return [
            received for received in self.sandbox.log if id in {None, received.operation} and (not fields or _has(received.body, fields))
        ]

    @property
    def placed(self) -> Counter[str]:
        """How many calls were placed to each number."""
        return placed(self.sandbox)

    def assert_received(self, operation: str, *, times: int | None = None, **fields: Any) -> list[LoggedRequest]:
        """Check that an operation was requested with these fields, and give the requests.

        :param operation: as for `requests`.
        :param times: how many there must be; at least one unless given.
        :raises AssertionError: there are more, fewer or none.
        :raises ValueError: as from `requests`.
        """
        found = self.requests(operation, **fields)
        if (not found) if times is None else len(found) != times:
            wanted = "at least once" if times is None else f"{times} times"
            indexed_by = f" with {mask_text(repr(fields))}" if fields else ""
            every = Counter(received.operation or "no operation" for received in self.sandbox.log)
            seen = ", ".join(f"{name} {count}" for name, count in every.most_common()) or "nothing"
            raise AssertionError(f"{operation}{indexed_by} was to be received {wanted}, and was {len(found)} times; received: {seen}")
        return found

    def assert_placed(self, to_number: str, *, times: int = 1) -> None:
        """:raises AssertionError: the number was called more often, or less often."""
        count = self.placed[to_number]
        if count != times:
            raise AssertionError(f"{mask(to_number)} was to be called {times} times, and was {count} times")

    def assert_none_placed_twice(self) -> None:
        """:raises AssertionError: a number was called more than once."""
        twice = [f"{mask(number)} {count} times" for number, count in self.placed.items() if count > 1]
        if twice:
            raise AssertionError(f"called more than once: {', '.join(twice)}")


def _has(body: Any, fields: dict[str, Any]) -> bool:
    if not isinstance(body, dict):
        return False
    sent = cast("dict[str, Any]", body)
    return all(name in sent and sent[name] == value for name, value in fields.items())
