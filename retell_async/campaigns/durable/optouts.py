"""Who wants no more calls: heard of in events, written down, and told to those who have to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import anyio
import attrs
from anyio import to_thread

from ..._core.attempt import Failed, attempt
from ..._core.errors import ConfigurationError
from ..._core.masking import mask, mask_text, masked_traceback
from ..._logs import Log
from ..calls import opted_out
from ..contacts import add_numbers, read_numbers
from ..settings import Settings
from ..zones import e164
from .worker import patiently

if TYPE_CHECKING:
    from ..._helpers.watch import Events
    from .store import Store

__all__ = ["OptOuts"]

_EVERY = 2.0  # seconds from one look at what is to be told to the next
_WRITING = 5.0  # seconds for which one who is cancelled tries to write that somebody was told
_EVENTS = ("call_ended", "call_analyzed")

_Seen = tuple[int, int]

_logger = Log("retell_async")

_listeners: MutableMapping[Events, WeakSet[OptOuts]] = WeakKeyDictionary()


@attrs.define(eq=False)
class OptOuts:
    """Those of one campaign, while it runs in this process.

    :param callback: gets each number once it is written down, and again if that fails or the process is killed meanwhile.
    """

    store: Store
    settings: Settings
    callback: Callable[[str], Awaitable[object]] | None
    _seen: _Seen | None = None
    """Size and time of the list when it was read last."""
    _known: frozenset[str] = frozenset()
    """What was in it then."""
    telling: anyio.Lock = attrs.field(factory=anyio.Lock, init=False)
    """Held while somebody is told: who ends the telling takes it first, or a callback is cut off and told again."""

    def listen(self, router: Events) -> None:
        """Take note of what events of any call of the account say, from now on, as long as somebody holds this."""
        found = _listeners.get(router)
        if found is None:
            listeners = found = _listeners[router] = WeakSet()

            async def take(event: Any) -> None:
                for each in list(listeners):
                    await each.heard(event.call)

            for event in _EVENTS:
                router.on(event)(take)
        found.add(self)

    async def heard(self, call: Any) -> None:
        """Write down what a call says: also of one that is not of this campaign, and of one that came in."""
        if not opted_out(call, self.settings.rules):
            return
        number = getattr(call, "from_number" if getattr(call, "direction", None) == "inbound" else "to_number", None)
        try:
            number = e164(number if isinstance(number, str) else "", self.settings.region)
        except ConfigurationError:
            return  # a call of the web, or of a number that nobody can call
        await patiently(self.store.forbid, [number])

    async def keep_telling(self) -> None:
        """Read what others write into the list, and tell of what is written down here, again and again."""
        while True:
            await self.tell()
            await anyio.sleep(_EVERY)

    async def tell(self) -> None:
        """Do so once. What goes wrong is logged, and done again with the next one."""
        async with self.telling:
            await self._tell()

    async def _tell(self) -> None:
        path = self._path
        try:
            for line in await self.read():
                _logger.warning("campaign: somebody on the list may be called: %s", mask_text(line))
        except ConfigurationError as error:
            _logger.warning("campaign: the list of those who opted out cannot be read: %s", mask_text(str(error)))
        if path is None and self.callback is None:
            return  # a later run may have somebody to tell
        numbers = await patiently(self.store.untold)
        if not numbers:
            return
        if path is not None:
            try:
                await to_thread.run_sync(add_numbers, path, numbers, self.settings.region)
            except ConfigurationError as error:
                _logger.warning("campaign: who opted out could not be added to the list (%s); it is tried again", mask_text(str(error)))
                return
        for number in numbers:
            if self.callback is not None:
                callback = partial(self.callback, number)
                if isinstance(ended := await attempt(callback), Failed):
                    text = masked_traceback(ended.error)
                    _logger.error("campaign: nobody was told that %s opted out; it is tried again\n%s", mask(number), text)
                    continue
            with anyio.move_on_after(_WRITING, shield=True):  # whoever was told is not told again since the run ends just now
                await patiently(self.store.told, number)

    async def read(self) -> list[str]:
        """Take over what others have written into the list; what is wrong with lines in it.

        :raises ConfigurationError: it cannot be read.
        """
        if self._path is None:
            return []
        found = await to_thread.run_sync(_changed, self._path, self._seen, self.settings.region)
        if found is None:
            return []
        seen, numbers, wrong = found
        await patiently(self.store.forbid, numbers - self._known, told=True)
        self._seen, self._known = seen, numbers
        return wrong

    @property
    def _path(self) -> Path | None:
        return None if self.settings.opt_outs is None else Path(self.settings.opt_outs)


def _changed(path: Path, seen: _Seen | None, region: str | None) -> tuple[_Seen, frozenset[str], list[str]] | None:
    """What stands in a list, if it is there and is not as it was seen."""
    try:
        had = path.stat()
    except OSError:
        return None  # it is made with the first number
    now = had.st_size, had.st_mtime_ns
    return None if now == seen else (now, *read_numbers(path, region, quick=True))
