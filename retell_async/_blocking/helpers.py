# pyright: reportDeprecated=false
"""Methods by hand, as `retell_async._helpers` has them: what resources of a `Retell` inherit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from .._helpers import WITHIN
from .._helpers.watch import EVERY
from .resource import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .._helpers import call, chat, knowledge_base, tests
    from ..llm.monitor import MonitorItem
    from ..raw.api.call import list_calls
    from ..raw.models import CallResponse, ChatResponse, KnowledgeBaseResponse, TestCaseBatchJob

__all__ = ["CallHelper", "ChatHelper", "KnowledgeBaseHelper", "TestsHelper"]

T = TypeVar("T")


class _Client(Protocol):
    """What an `AsyncRetell` has."""

    @property
    def call(self) -> call.CallHelper: ...
    @property
    def chat(self) -> chat.ChatHelper: ...
    @property
    def knowledge_base(self) -> knowledge_base.KnowledgeBaseHelper: ...
    @property
    def tests(self) -> tests.TestsHelper: ...


class _Sender(Protocol):
    """What has the client do more than send."""

    def call(self, method: Callable[[_Client], Awaitable[T]]) -> T: ...

    def iterate(self, method: Callable[[_Client], AsyncGenerator[T]]) -> Iterator[T]: ...


class _Helper(Resource):
    @property
    def _client(self) -> _Sender:
        return cast("_Sender", self._sender)


class CallHelper(_Helper):
    """Methods of `client.call` beside those of the API."""

    def wait(
        self,
        call_id: str,
        *,
        until: Literal["ended", "analyzed"] = "ended",
        within: float | None = WITHIN,
        every: float | None = None,
    ) -> CallResponse:
        """Wait until a call is over, or until it is analysed, and return it whole.

        All threads that wait on one client are asked for together, with one request. A call is over when its status is ``ended``,
        ``error`` or ``not_connected``. One that never connected, or of which nothing is stored to be analysed, is as good as analysed when
        it is over.

        :param call_id: the id that `create_phone_call` or another method gave.
        :param until: ``"ended"``, or ``"analyzed"`` for `call_analysis` too.
        :param within: seconds to wait at most, by default two hours; ``None`` for as long as it takes.
        :param every: seconds from one question to the next, by default 2.
        :raises WaitTimeoutError: it was not over in time. It goes on.
        :raises APIStatusError: there is no such call, or the key may not see it.
        """
        return self._client.call(lambda client: client.call.wait(call_id, until=until, within=within, every=every))

    def ended_since(self, moment: datetime | float) -> Iterator[list_calls.Item]:
        """All calls that ended from a moment on: to find after an outage what webhooks missed.

        Calls that never connected may have no time at all. All of those are given, whenever they were placed: compare ids with what you
        know. Calls come as lists have them, without their transcripts.

        :param moment: a `datetime` with a time zone, or Unix time in seconds.
        :raises ConfigurationError: the moment has no time zone.
        """
        return self._client.iterate(lambda client: client.call.ended_since(moment))

    def monitor(self, call_id: str) -> Iterator[MonitorItem]:
        """Watch a live call: give what is said and done in it as it happens, and end when it is over. Needs the extra ``[llm]``.

        An item comes again as it grows, with the same `id`: ``items[item.id] = item`` keeps the transcript as it is. A lost connection is
        opened again, after which nothing comes twice unless it has changed. As long as it is watched, it takes one of the client's
        connections. Leave it early inside ``with contextlib.closing(client.call.monitor(call_id)) as items``.

        :param call_id: the id of a call that is going on.
        :raises MonitorError: of `retell_async.llm.monitor`: the call is not ongoing (its `code` is 4004), five others watch it (4008), or
            the connection was lost again and again.
        :raises APIStatusError: there is no such call, or the key may not see it.
        """
        return self._client.iterate(lambda client: client.call.monitor(call_id))


class ChatHelper(_Helper):
    """Methods of `client.chat` beside those of the API."""

    def wait(
        self,
        chat_id: str,
        *,
        until: Literal["ended", "analyzed"] = "ended",
        within: float | None = WITHIN,
        every: float | None = None,
    ) -> ChatResponse:
        """Wait until a chat is over, or until it is analysed, and return it whole.

        :param chat_id: the id that `create` or `create_sms_chat` gave.
        :param until: ``"ended"``, or ``"analyzed"`` for `chat_analysis` too.
        :param within: seconds to wait at most, by default two hours; ``None`` for as long as it takes.
        :param every: seconds from one question to the next, by default 2.
        :raises WaitTimeoutError: it was not over in time. It goes on.
        :raises APIStatusError: there is no such chat, or the key may not see it.
        """
        return self._client.call(lambda client: client.chat.wait(chat_id, until=until, within=within, every=every))


class KnowledgeBaseHelper(_Helper):
    """Methods of `client.knowledge_base` beside those of the API."""

    def wait(self, knowledge_base_id: str, *, within: float | None = 1800.0, every: float = EVERY) -> KnowledgeBaseResponse:
        """Wait until the sources of a knowledge base are read, and return it: its status is then ``complete`` or ``error``.

        :param knowledge_base_id: the id that `create` gave.
        :param within: seconds to wait at most, by default half an hour; ``None`` for as long as it takes.
        :param every: seconds from one question to the next.
        :raises WaitTimeoutError: they were not read in time. The reading goes on.
        :raises APIStatusError: there is no such knowledge base, or the key may not see it.
        """
        return self._client.call(lambda client: client.knowledge_base.wait(knowledge_base_id, within=within, every=every))


class TestsHelper(_Helper):
    """Methods of `client.tests` beside those of the API."""

    def wait(self, test_case_batch_job_id: str, *, within: float | None = 3600.0, every: float = EVERY) -> TestCaseBatchJob:
        """Wait until all runs of a batch of tests are done, and return it: how many passed and failed.

        :param test_case_batch_job_id: the id that `create_batch_test` gave.
        :param within: seconds to wait at most, by default an hour; ``None`` for as long as it takes.
        :param every: seconds from one question to the next.
        :raises WaitTimeoutError: they were not done in time. They go on.
        :raises APIStatusError: there is no such batch, or the key may not see it.
        """
        return self._client.call(lambda client: client.tests.wait(test_case_batch_job_id, within=within, every=every))
