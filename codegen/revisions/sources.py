"""Where documents come from: files, URLs, and the file in which the official SDK's repository names the document that it was made from."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic

import httpx

from ..document import Refused, load

LONGEST = 30
"""Seconds in which a document has to be there."""


def fetch(spec: str) -> bytes:
    """The bytes of a document at a path or a URL."""
    if not spec.startswith(("https://", "http://")):
        try:
            return Path(spec).read_bytes()
        except OSError as error:
            raise Refused("", f"{spec} cannot be read: {error.strerror}") from error
    print(f"fetching {shown(spec)}", file=sys.stderr)
    end, parts = monotonic() + LONGEST, list[bytes]()
    try:
        with httpx.stream("GET", spec, follow_redirects=True, timeout=LONGEST) as answer:
            for part in answer.raise_for_status().iter_bytes():
                parts.append(part)
                if monotonic() > end:
                    raise httpx.ReadTimeout(f"not whole within {LONGEST} s")
        return b"".join(parts)
    except httpx.HTTPStatusError as error:
        reason = f"{shown(spec)} answered {error.response.status_code}: give the document as a file, SPEC=<path>"
    except httpx.InvalidURL as error:
        reason = f"the URL cannot be read: {error}"
    except httpx.HTTPError as error:
        reason = f"{shown(spec)} cannot be fetched ({error}): give the document as a file, SPEC=<path>"
    raise Refused("", reason.replace(spec, shown(spec)))


def shown(spec: str) -> str:
    """A path as it is, a URL without what may be secret: user, query and fragment."""
    scheme, is_url, rest = spec.partition("://")
    return f"{scheme}://{rest.split('?')[0].split('#')[0].rpartition('@')[2]}" if is_url else spec


def of_sdk(stats: str) -> bytes:
    """The document that the official SDK was made from.

    :param stats: where its repository says so, in ``openapi_spec_url``.
    :raises Refused: it cannot be had.
    """
    said = load(fetch(stats), shown(stats)).get("openapi_spec_url")
    if not isinstance(said, str) or not said.startswith("https://"):
        raise Refused("", f"{shown(stats)} names no document")
    return fetch(said)
