"""A store of deliveries in Redis, for routers in several processes: what one handles, the others do not.

    import redis.asyncio
    store = RedisDeliveries(redis.asyncio.Redis())
    router = retell_async.webhooks.Router(api_key, store=store)

A key holds who handles the delivery, and lapses with the lease; when it is done, it holds that for a day.
"""

from __future__ import annotations

from typing import Any, Protocol
from uuid import uuid4

from retell_async.webhooks import Claim

_DONE = "done"
_IF_MINE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call({}) else return 0 end"
_RENEW = _IF_MINE.format("'pexpire', KEYS[1], ARGV[2]")
_RELEASE = _IF_MINE.format("'del', KEYS[1]")


class Redis(Protocol):
    """What is used of `redis.asyncio.Redis`."""

    async def set(self, name: str, value: str, *, px: int, nx: bool = False) -> Any: ...
    async def get(self, name: str) -> Any: ...
    async def eval(self, script: str, numkeys: int, *keys_and_args: str) -> Any: ...


class RedisDeliveries:
    """One for each process.

    :param lease: seconds after which the deliveries of a process that died are free again: few, since Retell soon stops repeating them.
    :param remember: seconds for which deliveries that were handled are known.
    """

    def __init__(self, redis: Redis, *, lease: float = 3, remember: float = 86_400, prefix: str = "retell:") -> None:
        self.lease = lease
        self._redis = redis
        self._remember = remember
        self._prefix = prefix
        self._holder = uuid4().hex

    async def claim(self, key: str) -> Claim:
        if await self._redis.set(self._prefix + key, self._holder, px=_ms(self.lease), nx=True):
            return Claim.MINE
        found = await self._redis.get(self._prefix + key)
        return Claim.DONE if found in {_DONE, _DONE.encode()} else Claim.IN_PROGRESS

    async def renew(self, key: str) -> bool:
        return bool(await self._redis.eval(_RENEW, 1, self._prefix + key, self._holder, str(_ms(self.lease))))

    async def done(self, key: str) -> None:
        await self._redis.set(self._prefix + key, _DONE, px=_ms(self._remember))

    async def release(self, key: str) -> None:
        await self._redis.eval(_RELEASE, 1, self._prefix + key, self._holder)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
