"""`openapi/pin.toml`: which revision of the document is pinned, where it comes from, and which ones stood there since the last release."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from pathlib import Path

import attrs

from .. import marks
from ..document import Json, load_file

_HEAD = """\
# Where openapi.yaml comes from, and where the official SDK's repository names the document that it was made from. `fetched` is the SHA-256
# of the document as published, `pinned` that of the canonical form of its facts that is kept here.
"""
_BEFORE = "\n# What was pinned since the last release, the newest first: an update that goes back to one of these undoes those after it.\n"


@attrs.frozen
class Pin:
    """One revision, and how to recognise it."""

    source: str
    revision: str
    fetched: str
    """SHA-256 of the document as published."""
    pinned: str
    """SHA-256 of its canonical form."""

    @classmethod
    def of(cls, document: Json, source: str, fetched: bytes, pinned: str, today: dt.date) -> Pin:
        """A pin of a document; one that does not say its revision is called after the day and what it holds."""
        digest = hashlib.sha256(fetched).hexdigest()
        said = document["info"].get(marks.REVISION)
        revision = said if isinstance(said, str) and re.fullmatch(r"[\w.-]+", said) else f"{today}-{digest[:7]}"
        return cls(source, revision, digest, hashlib.sha256(pinned.encode()).hexdigest())


@attrs.frozen
class Pins:
    """What is pinned now, and what was before."""

    now: Pin
    before: tuple[Pin, ...] = ()
    sdk: str = ""
    """Where the official SDK says what it was made from."""

    def moved(self, pin: Pin) -> tuple[Pins, tuple[str, ...]]:
        """With another document pinned, and the revisions that this undoes, the newest first.

        A document that stood there before comes back as it was, and what came after it is forgotten. Other facts under a name that is
        taken get a name of their own.
        """
        all = (self.now, *self.before)
        revisions, index = tuple(old.revision for old in all), next((i for i, old in enumerate(all) if old.pinned == pin.pinned), None)
        if index is not None:
            return Pins(self.before[index - 1] if index else pin, self.before[index:], self.sdk), revisions[:index]
        if pin.revision in revisions:
            pin = attrs.evolve(pin, revision=f"{pin.revision}.{pin.pinned[:7]}")
        return Pins(pin, all, self.sdk), ()


def load(path: Path) -> Pins:
    said = load_file(path)
    before, sdk = said.pop("before", ()), said.pop("sdk", "")
    return Pins(Pin(**said), tuple(Pin(**old) for old in before), sdk)


def dump(pins: Pins) -> str:
    first, *others = ("".join(f'{name} = "{said}"\n' for name, said in attrs.asdict(one).items()) for one in (pins.now, *pins.before))
    sdk = f'sdk = "{pins.sdk}"\n' if pins.sdk else ""
    return _HEAD + sdk + first + (_BEFORE if others else "") + "\n".join(f"[[before]]\n{old}" for old in others)
