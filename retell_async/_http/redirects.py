"""Which redirects are followed, and how: decisions without I/O."""

from __future__ import annotations

import attrs
import httpx

from .._core.encode import HARMLESS, Encoded
from .._core.masking import mask_path
from .._core.response import Answer
from .hosts import is_host

__all__ = ["Redirects", "followed"]

_MOST = 20  # redirects of one request that are followed

_NOWHERE = "to nowhere: it has no Location, or one that is no address of HTTP"
_AS_IT_WAS = {307, 308}  # the other redirects make a GET of what was none
_READS = {"GET", "HEAD"}


class Redirects:
    """The redirects of one request.

    :param follow: whether it goes anywhere: whether it may be repeated.
    :param reads: whether it goes on as a GET without a body where a redirect asks for that, as it does in a browser.
    """

    def __init__(self, first: Encoded, *, follow: bool, reads: bool = False) -> None:
        self._follow = follow
        self._reads = reads
        self._seen = {first.url}
        self._last: Answer | None = None

    def after(self, encoded: Encoded, answer: Answer) -> Encoded | Answer:
        """The next request; or the last answer, which says, if it is a redirect, why it is not followed."""
        if not answer.is_redirect:
            if self._last is not None and encoded.redirected == "outside" and answer.status_code in {401, 403}:
                to = f"to {_shown(httpx.URL(encoded.url))}, another origin, which got no API key and answered {answer.status_code}"
                return _ended(self._last, to)
            return answer
        location = answer.response.headers.get("location")
        if not self._follow:
            return _ended(answer, f"{_leading(encoded, location)}, where this {encoded.method} is not sent too")
        there = followed(encoded, answer.status_code, location, reads=self._reads)
        if not encoded.repeatable and not isinstance(there, str) and there.method == encoded.method:
            there = f"{_leading(encoded, location)}, which is not followed: the body of this {encoded.method} can be sent only once"
        if isinstance(there, str):
            return _ended(answer, there)
        if there.url in self._seen:
            return _ended(answer, f"{_leading(encoded, location)}, in a circle")
        if len(self._seen) > _MOST:
            return _ended(answer, f"{_leading(encoded, location)}, after {_MOST} others")
        self._seen.add(there.url)
        self._last = answer
        return there


def _ended(answer: Answer, why: str) -> Answer:
    answer.response.extensions["redirect"] = why
    return answer


def followed(encoded: Encoded, status: int, location: str | None, *, reads: bool = False) -> Encoded | str:
    """The next request after a redirect, or why there is none, as a text that continues "a redirect".

    GET and HEAD go wherever they are sent; what has another method goes on as it is, body and all, within its origin. To another origin
    (scheme, host and port) go neither the API key nor any other header of a user's.
    """
    here = httpx.URL(encoded.url)
    there = _joined(here, location)
    if there is None:
        return _NOWHERE
    same = (here.scheme, here.raw_host, here.port) == (there.scheme, there.raw_host, there.port)
    if reads and encoded.method not in _READS and status not in _AS_IT_WAS:
        kept = {name: value for name, value in encoded.headers.items() if name.lower() not in {"content-type", "content-length"}}
        encoded = attrs.evolve(encoded, method="GET", headers=kept, content=None, form=None)
    if encoded.method not in _READS:
        if status not in _AS_IT_WAS:
            return f"to {_shown(there)}, which is not followed: it would make a GET of this {encoded.method}"
        if not same:
            return f"to {_shown(there)}, which is not followed: it is another origin, and this {encoded.method} has a body"
    if not same:
        encoded = attrs.evolve(encoded, headers={name: text for name, text in encoded.headers.items() if name.lower() in HARMLESS})
    return attrs.evolve(
        encoded,
        base_url=f"{there.scheme}://{there.netloc.decode('ascii')}",
        target=there.raw_path.decode("ascii"),
        redirected="inside" if same and encoded.redirected != "outside" else "outside",
    )


def _leading(encoded: Encoded, location: str | None) -> str:
    """Where a redirect leads, as a text that continues "a redirect"."""
    there = _joined(httpx.URL(encoded.url), location)
    return _NOWHERE if there is None else f"to {_shown(there)}"


def _shown(url: httpx.URL) -> str:
    """A URL as an error may show it: numbers in its path are masked, and what a query says is left out."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}{mask_path(url.raw_path.decode('ascii'))}{'?…' if url.query else ''}"


def _joined(here: httpx.URL, location: str | None) -> httpx.URL | None:
    if not location:
        return None
    try:
        there = here.join(location)
    except (httpx.InvalidURL, ValueError):
        return None
    port = there.port
    if there.scheme not in {"http", "https"} or not is_host(there.raw_host.decode("ascii")) or (port is not None and not 0 < port < 65536):
        return None
    return there
