# pyright: reportDeprecated=false
"""`client.tests`: waiting for batches of test runs."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from .._core.resource import Resource
from .watch import EVERY, Client, Watch, one_by_one

if TYPE_CHECKING:
    from ..raw.models import TestCaseBatchJob

__all__ = ["TestsHelper"]

_WITHIN = 3600.0


class _Tests(Protocol):
    """What the generated resource has."""

    def get_batch_test(self, test_case_batch_job_id: str) -> Awaitable[TestCaseBatchJob]: ...


class TestsHelper(Resource):
    """Methods of `client.tests` beside those of the API."""

    @property
    def _tests(self) -> _Tests:
        return cast("_Tests", self)

    @cached_property
    def _watch(self) -> Watch[TestCaseBatchJob]:
        async def fetch_many(ids: Sequence[str], _: bool) -> Mapping[str, TestCaseBatchJob]:
            return await one_by_one(self._tests.get_batch_test, ids)

        return Watch(fetch_many, self._tests.get_batch_test, cast("Client", self._sender).waiting)

    async def wait(self, test_case_batch_job_id: str, *, within: float | None = _WITHIN, every: float = EVERY) -> TestCaseBatchJob:
        """Wait until all runs of a batch of tests are done, and return it: how many passed and failed.

        :param test_case_batch_job_id: the id that `create_batch_test` gave.
        :param within: seconds to wait at most, by default an hour; ``None`` for as long as it takes.
        :param every: seconds from one question to the next.
        :raises WaitTimeoutError: they were not done in time. They go on.
        :raises APIStatusError: there is no such batch, or the key may not see it.
        """
        return await self._watch.wait(test_case_batch_job_id, _is_done, within=within, every=every)


def _is_done(batch: Any) -> bool:
    return bool(batch.status != "in_progress")
