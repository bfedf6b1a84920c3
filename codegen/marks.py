"""The marks beside what the document says: all ``x-`` names that this generator knows, who puts them there and who reads them.

A pass that has something to tell a later one says it under one of these names, in the place that it is about.
"""

from __future__ import annotations

# The document's own.
REVISION = "x-retell-spec-revision"
"""In ``info``: what the revision is called. Kept by `canonical`, read by `pin`."""
SDK_RESOURCE, SDK_METHOD = "x-retell-sdk-resource", "x-retell-sdk-method"
"""On an operation: where it belongs. Kept by `canonical`, read by `surface` for an operation that our own file does not name."""

# Ours beside the document, written by hand.
NAME = "x-name"
"""On a schema, from the overlay: what its class is called. Taken off by `lift`, `names` and, of copies, `all_of`; `generate` packs none."""
NOTE = "x-note"
"""On a schema or a parameter, by `notes`: a unit, a range. Read by `words` and `operations`.
No part of what a schema says: `document`, `all_of` and `lift` let it pass, and `generate` packs none."""
WORDS = "x-words"
"""On an operation, a parameter or a schema, by `words`: our own sentences.
Read by `words`, and by `operations` and `tools` off a parameter."""
TAG = "x-tag"
"""On a union, from the overlay, else by `unions`: the field that tells its members apart.
Read by `all_of`, `members`, `classes` and `tools`."""
REPLACES = "x-replaces"
"""On an action of the overlay: it replaces what the document says. Read by `overlay`."""

# Between passes.
KNOWN_AS = "x-known-as"
"""On an operation, by `surface`: the key under which our files know it. Read by `words` and `update`; `generate` packs none."""
ERRORS = "x-errors"
"""On an operation, by `errors`: the statuses of its errors. Read by `operations` and `diff`."""
ERROR_BODY = "x-error-body"
"""On the document, by `errors`: a reference to the one body of all errors, or ``None``. Read by `reachable` and `names`."""
MEDIA = "x-media"
"""On an operation, by `wire`: its answer is ``text`` or ``bytes`` and no JSON. Read by `operations` and `diff`."""
NULLABLE = "x-nullable"
"""On an operation, by `wire`: a successful answer may have no body. Read by `operations`."""
SERVER = "x-server"
"""On the document, by `wire`: where the API is. Read by `views` and `diff`."""
STYLE = "x-style"
"""On a parameter of a query, by `wire`: how an array or an object is written. Read by `operations`."""
NAMES = "x-names"
"""On the document, by `generate`, then by `lift`: names of what stands at properties (`openapi/names.yaml`), by ``Owner.property``."""
UNREACHABLE = "x-unreachable"
"""On the document, by `reachable`: names of schemas that no operation needs. Read by `generate` and `diff`."""
ABSENT = "x-absent"
"""On a schema, by `negation`: fields that must not be there. Taken off by `all_of`, which leaves them out."""
EXCLUSIVE = "x-exclusive"
"""On a schema, by `negation`: lists of fields of which only one may be sent. Joined by `all_of`, read by `operations` and `diff`."""
BASE = "x-base"
"""On a schema, by `all_of`: the name of the one that it narrows. Read by `lift` and `unions`; taken off by `aliases` and `lift`."""
ANY_TEXT = "x-any-text"
"""On a field, by `all_of`: its one value stands over what may be any text. Read by `parsable`: requests may have any."""
VALUES = "x-values"
"""On a member of a union, by `unions`: the values of the tag that mean it. Read by `lift`, `members`, `classes`, `diff` and
`tools`."""
KEYED = "x-keyed"
"""On a union, by `unions`: its members are told apart by the fields that are there. Read by `members` and `classes`."""
KEY = "x-key"
"""On its member, by `unions`: the field that only it has; ``None`` for the last one. Read by `lift`, `members` and `classes`."""
REQUEST = "x-request"
"""On a component, by `reachable`: requests hold it. Read by `classes` and `words`."""
RESPONSE = "x-response"
"""On a component, by `reachable`: answers hold it. Read by `words`."""
# In front of the parser of the generator.
UNION = "x-union"
"""On a component, by `parsable`: it stands for a union that has a name, which is its one field. Read by `types`."""
IS_TAG = "x-is-tag"
"""On a field, by `members`: it is the tag of a union, whose values are closed. Read by `parsable`."""
ABOUT = "x-about"
"""On any schema, by `members`: all that docstrings say of it. Read by `parser`; `parsable` keeps it in sight."""
UNKNOWN = "x-unknown"
"""On a component, by `members`: it stands for members of a union that are not known. Read by `types` and `classes`."""
COMMON = "x-common"
"""On a component, by `members`: the class, and its module, that has fields of it. Read by `classes`."""
FIELDS_OF = "x-fields-of"
"""On such a class, by `members`: its module. Read by `classes`."""
