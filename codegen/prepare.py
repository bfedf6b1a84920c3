"""The row of passes from a document as published to one that templates can say."""

from __future__ import annotations

import json

from .document import Json, Refused
from .parser import Parsed, parse
from .passes import aliases, all_of, dialect, errors, lift, members, names, negation, parsable, reachable, unions, wire

PASSES = (
    *(dialect.run, errors.run, reachable.run, wire.run, negation.run, all_of.run, unions.run, aliases.run),
    *(names.keywords, lift.run, reachable.usage, names.run),
)


def prepare(document: Json) -> Json:
    """The prepared form of a document; the document itself stays as it is."""
    prepared = document
    for each in PASSES:
        prepared = json.loads(json.dumps(prepared))  # no two places hold the same object, so that a pass changes one at a time
        try:
            each(prepared)
        except RecursionError:
            raise Refused("", f"something in it holds itself without end: {each.__module__.rpartition('.')[2]} finds no way out") from None
    return prepared


def parsed(prepared: Json) -> Parsed:
    """What the generator's parser finds in a prepared document, which stays as it is."""
    document: Json = json.loads(json.dumps(prepared))
    members.run(document)
    parsable.run(document)
    return parse(document)
