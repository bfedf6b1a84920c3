"""Names of operations: the ids of the document (``createPhoneCall``) and the methods of the client (``call.create_phone_call``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import chain

from retell_async.resources._operations import METHODS

__all__ = ["check_pattern", "check_field", "client_names", "matches", "names_of", "operation_id"]

_NEAR = 4


@lru_cache(maxsize=1)
def client_names() -> Mapping[str, tuple[str, ...]]:
    """The client's methods (``call.create_phone_call``) by the id of the operation that they send."""
    found: dict[str, tuple[str, ...]] = {}
    for name, id in METHODS.items():
        found[id] = (*found.get(id, ()), name)
    return found


def names_of(id: str) -> tuple[str, ...]:
    """All names of an operation, its id first."""
    return (id, *client_names().get(id, ()))


def matches(id: str, pattern: str) -> bool:
    """Whether a pattern matches an operation or an event: its id, or one of the client's names for it."""
    return fnmatchcase(id, pattern) or ("." in pattern and any(fnmatchcase(name, pattern) for name in client_names().get(id, ())))


def check_pattern(pattern: str, known: Iterable[str], what: str) -> None:
    """:raises ValueError: the pattern matches none of the known ids; the message names some that are near."""
    ids = list(known)
    if not any(matches(id, pattern) for id in ids):
        raise ValueError(f"{pattern!r} is no {what}{_near(pattern, ids)}")


def check_field(field: str, known: Iterable[str], where: str) -> None:
    """:raises ValueError: the field is not among the known ones; the message names some that are near."""
    names = sorted(known)
    if field not in names:
        near = ", ".join(get_close_matches(field, names, n=_NEAR, cutoff=0.6))
        raise ValueError(f"{where} takes no field {field!r}{near and f': near it are {near}'}")


def operation_id(name: str, known: Iterable[str]) -> str:
    """The id of the operation that a name stands for.

    :raises ValueError: there is no such operation; the message names some that are near.
    """
    ids = list(known)
    if name in ids:
        return name
    for id in ids:
        if name in names_of(id):
            return id
    raise ValueError(f"{name!r} is no operation{_near(name, ids)}")


def _near(name: str, ids: list[str]) -> str:
    lower = {known.lower(): known for known in chain.from_iterable(map(names_of, ids))}
    near = [lower[found] for found in get_close_matches(name.lower(), lower, n=_NEAR, cutoff=0.6)]
    return f": near it are {', '.join(near)}" if near else ""
