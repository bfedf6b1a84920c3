"""One connection of a call: what is read within limits, and what is written as long as it is the one that counts."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from .channel import Channel, Disconnected
from .protocol import Conversation
from .settings import Limits

__all__ = ["Connection", "FloodedError"]

_CLOSE_WITHIN = 5.0
_RATE_OVER = 10.0


class FloodedError(Exception):
    """More came than is allowed."""


class Connection:
    """A channel, and the scope of what is done on it.

    `closing` is the code and the reason to close it with, once its scope has ended; ``None`` leaves it as it is.
    """

    def __init__(self, channel: Channel) -> None:
        self.scope = anyio.CancelScope()
        self.closing: tuple[int, str] | None = None
        self._channel = channel
        self._woken = anyio.Event()
        self._drained = anyio.Event()

    def wake(self) -> None:
        """There is something to send."""
        self._woken.set()

    def replaced(self) -> None:
        """Another connection has taken its place."""
        self.closing = (1001, "another connection took its place")
        self.scope.cancel()

    async def read(self, limits: Limits, take: Callable[[str | bytes | None], None]) -> int:
        """Give what comes, ``None`` for a frame that is too long, until the connection is gone; then its close code.

        :raises FloodedError: more came than is allowed.
        """
        allowance = most = limits.messages_per_second * _RATE_OVER
        before = anyio.current_time()
        while True:
            try:
                text = await self._channel.receive()
            except Disconnected as gone:
                return gone.code
            now = anyio.current_time()
            allowance = min(most, allowance + (now - before) * limits.messages_per_second) - 1
            before = now
            if allowance < 0:
                raise FloodedError
            take(text if len(text) <= limits.message_bytes else None)
            self.wake()

    async def write(self, conversation: Conversation, current: Callable[[], object]) -> None:
        """Send what the conversation has to send, as long as this is the current connection."""
        while current() is self:
            self._woken = anyio.Event()
            while current() is self and (frame := conversation.next_frame()) is not None:
                try:
                    await self._channel.send(frame)
                except Disconnected:
                    return  # who reads is told too
            self._drained.set()
            await self._woken.wait()

    async def drained(self) -> None:
        """Wait until all is sent."""
        if self._drained.is_set():
            self._drained = anyio.Event()
        await self._drained.wait()

    async def close(self) -> None:
        """Close the channel if it is to be closed, and let go of who waits for it."""
        self._drained.set()
        if self.closing is not None:
            with anyio.move_on_after(_CLOSE_WITHIN, shield=True):
                await self._channel.close(*self.closing)
