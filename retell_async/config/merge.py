"""Three sides: what the file says, what the account has, and what both had when they were last brought together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from .kinds import Json
from .state import Base, digest
from .values import unmarked

__all__ = ["Side", "Verdict", "compared", "settled"]

Verdict: TypeAlias = Literal["same", "file", "account", "both"]
"""Who changed a setting since: nobody, the file alone, the account alone, or both, each to something else."""


@attrs.frozen
class Side:
    """A setting on both sides; ``None`` where it is not there. Keys are left out of it: see `values.apart`."""

    file: Any
    account: Any
    verdict: Verdict


def compared(file: Json, account: Json, base: Mapping[str, Base] | None) -> Iterator[tuple[str, Side]]:
    """Each setting, and who changed it.

    Without a base, nothing was ever brought together: what the file says counts, and what it leaves out is left alone.
    A key that is another one in the account is nobody's change here, and so in no base: nothing of keys is kept to tell whose it is.
    """
    for name in [*file, *(name for name in account if name not in file)]:
        wanted, found = file.get(name), unmarked(account.get(name))
        yield name, Side(wanted, found, _verdict(digest(wanted), digest(found), None if base is None else base.get(name, (None, None))))


def _verdict(file: str | None, account: str | None, base: Base | None) -> Verdict:
    if file == account:
        return "same"
    if base is None:
        return "same" if file is None else "file"
    if file == base[0]:
        return "same" if account == base[1] else "account"
    return "file" if account == base[1] else "both"


def settled(
    file: Json, account: Json, base: Mapping[str, Base] | None, written: Collection[str] = (), missed: Collection[str] = ()
) -> dict[str, Base]:
    """The base after some settings were brought together.

    :param base: the one before. It holds on for what one side changed and the other has not followed.
    :param written: settings that one side was brought to.
    :param missed: settings that were written to the account, which did not take them.
    """
    found: dict[str, Base] = {}
    for name, side in compared(file, account, base):
        if name in missed:
            found[name] = ("", digest(side.account))  # of the file's: none that it could have, so that it counts as changed
        elif name in written or side.verdict == "same":
            found[name] = (digest(side.file), digest(side.account))
        elif base is not None and name in base:
            found[name] = base[name]
    return found
