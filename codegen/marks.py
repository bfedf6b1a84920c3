"""The marks beside what the document says: all ``x-`` names that this generator knows; `codegen/README.md` says who uses them."""

from __future__ import annotations

# The document's own.
REVISION = "x-retell-spec-revision"
SDK_RESOURCE, SDK_METHOD = "x-retell-sdk-resource", "x-retell-sdk-method"

# Ours beside the document, written by hand.
NAME = "x-name"
WORDS = "x-words"
TAG = "x-tag"
REPLACES = "x-replaces"
JSON_TEXTS = "x-json-texts"

# Between passes.
KNOWN_AS = "x-known-as"
ERRORS = "x-errors"
ERROR_BODY = "x-error-body"
MEDIA = "x-media"
NULLABLE = "x-nullable"
SERVER = "x-server"
STYLE = "x-style"
NAMES = "x-names"
ASIDE = "x-aside"
UNREACHABLE = "x-unreachable"
ABSENT = "x-absent"
EXCLUSIVE = "x-exclusive"
NEEDED = "x-needed"
BASE = "x-base"
ANY_TEXT = "x-any-text"
VALUES = "x-values"
KEY = "x-key"
REQUEST = "x-request"
RESPONSE = "x-response"

# In front of the parser of the generator.
UNION = "x-union"
IS_TAG = "x-is-tag"
ABOUT = "x-about"
UNKNOWN = "x-unknown"
COMMON = "x-common"
FIELDS_OF = "x-fields-of"
