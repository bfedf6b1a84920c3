"""Secrets stay out of everything that is printed or sent to error trackers: reprs, logs, messages of exceptions, tracebacks."""

from __future__ import annotations

import re
import sys
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from itertools import islice
from traceback import extract_tb, format_exception
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Hidden",
    "HiddenMapping",
    "cut",
    "is_secret",
    "mask",
    "mask_address",
    "mask_keys",
    "mask_name",
    "mask_path",
    "mask_start",
    "mask_text",
    "masked",
    "masked_fields",
    "masked_repr",
    "masked_traceback",
    "one_line",
    "without_key",
]

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")

# What is written with letters and digits and is none of what follows: `%0A`, `\n`, `\x00`, `\u000a`, and what colours or clears a terminal.
_BEHIND_AN_ESCAPE = (
    r"(?<=%[0-9A-Fa-f]{2})|(?<=\\[abefnrtv0])|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})"
    r"|(?<=\[m)|(?<=\[\d[A-Za-z])|(?<=\[\d\d[A-Za-z])"
)
_BEGIN = rf"(?:(?<![\w.%-])|{_BEHIND_AN_ESCAPE})"
# As it is written, and as it stands in a URL or in JSON that is ASCII alone.
_PHONE = re.compile(
    r"(?:\+|(?P<plus>%(?:25)*2[Bb]|\\u002[Bb]))\d(?:[\d\s().-]|%(?:20|28|29|2[DdEe])){4,}\d"
    rf"|(?=\d{{10}}){_BEGIN}\d{{10,15}}(?![\w.-])"
)
# As people write it at home: (415) 555-0100, 415.555.0100, 020 7946 0958.
_GAP = r"(?:[\s./-]|%(?:20|2[DdEe]))"
_NATIONAL = re.compile(
    rf"(?=[\d(%]){_BEGIN}(?:"
    rf"(?:1{_GAP})?(?:(?:\(|%28)\d{{3}}(?:\)|%29){_GAP}?|\d{{3}}{_GAP})\d{{3}}{_GAP}\d{{4}}(?![\w-]|\.\d)"
    rf"|(?:\(|%28)?0\d{{1,4}}(?:\)|%29)?(?:{_GAP}\d{{2,8}}){{1,5}}(?![\w-]|\.\d))"
)
_LEAST_DIGITS = 9  # a date has fewer
_NO_DIGIT = re.compile(r"%[0-9A-Fa-f]{2}|\D")
_USER_INFO = re.compile(r"(?<=://)[^\s/?#]+(?=@)")
_LOGIN = re.compile(r"(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@")
# Behind a letter it is the end of a word (`api_key_required`), unless what follows is as long as keys are, and has digits as they have.
_API_KEY = re.compile(
    rf"(?=key_)(?:(?:\b|{_BEHIND_AN_ESCAPE})key_[A-Za-z0-9_-]{{6,}}|key_(?=[A-Za-z]*\d)[A-Za-z0-9]{{16,}}[A-Za-z0-9_-]*)"
    r"|(?i:(?<=bearer )|(?<=basic ))\S+"
)
_SECRET_FIELD = re.compile(r"token$|secret|password|(?:api|access|private)[_-]?key|authorization|credential|cookie", re.IGNORECASE)
# In a query even a plain `key` is a secret, other than in a field of the API.
_CREDENTIAL = (
    r"(?!(?:pagination|idempotency|sort)_key)[\w.%-]*(?:token|secret|passw(?:or)?d|key|signature|credentials?)|sig|auth|authorization|pwd"
)
_CREDENTIAL_NAME = re.compile(_CREDENTIAL, re.IGNORECASE)
_QUERY = re.compile(rf"(?<=[?&;])({_CREDENTIAL})=[^&#\s\"'<>\\]+", re.IGNORECASE)
_HARMLESS_HEADERS = frozenset(("accept", "accept-encoding", "accept-language", "cache-control", "content-type", "user-agent"))
_PHONE_FIELD = re.compile(r"(^|_)(phone|number|caller_id|transfer_destination)$|phone_number", re.IGNORECASE)

_COMMANDS = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONG_KEY = 16  # letters, of which no other word is part by chance

_EDGE = 500
"""How much of a text that is not shown is masked with what is: it holds whole whatever number or key stands where the text is cut."""
_USER_INFO_CUT = re.compile(r"(?<=://)[^\s/?#]+\Z")

_LONGEST_TEXT = 80
_MOST_ITEMS = 4
_MOST_ENTRIES = 50
_MOST_SHOWN = 1_000
_DEEPEST_SHOWN = 20
_DEEPEST = 100

# What a request passes on its way, and what looks at it there. In their local variables it stands as text and bytes, API key included.
_ON_THE_WAY = frozenset(
    [
        *("retell_async", "httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2", "hpack", "socksio", "httpx_ws"),
        *("aiohttp", "httpx_aiohttp", "aiohappyeyeballs", "yarl"),
        *("anyio", "asyncio", "outcome", "trio", "uvloop"),
        *("contextlib", "json", "selectors", "socket", "ssl", "urllib"),
        *("ddtrace", "logfire", "newrelic", "opentelemetry", "sentry_sdk", "wrapt"),
        *("pytest_httpx", "respx", "vcr"),
    ]
)
_TRANSLATED = frozenset(("aiohttp", "h11", "h2", "httpcore", "httpcore2"))
_QUOTING = frozenset(("httpx", "httpx2"))  # in the errors of which stands what came in place of an answer


def mask(value: str) -> str:
    """Mask a phone number so that two can be told apart in a log and neither can be called: ``+14155550100`` becomes ``+141******00``."""
    keep = 4 if len(value) > 8 else 1
    return value[:keep] + "*" * max(len(value) - keep - 2, 3) + (value[-2:] if len(value) > 8 else "")


def mask_text(text: str) -> str:
    """Mask every phone number and API key in a text, and in a URL what stands before its host and the secrets in its query."""
    return _NATIONAL.sub(_masked_national, _PHONE.sub(_masked_number, mask_keys(text)))


def mask_keys(text: str) -> str:
    """Mask what `mask_text` masks, save for phone numbers."""
    return _QUERY.sub(r"\1=***", _USER_INFO.sub("***", _API_KEY.sub("***", text)))


def mask_path(path: str) -> str:
    """The path of a URL as it is sent, percent-encoded and so on one line, masked as `mask_text` does, whatever of it is encoded."""
    shown = mask_text(path.partition("?")[0])
    return "/".join(map(_masked_segment, shown.split("/"))) if "%" in shown else shown


def _masked_segment(segment: str) -> str:
    plain = unquote(segment)
    shown = mask_text(plain)
    return segment if shown == plain else quote(shown, safe="!$&'()*+,;=:@")


def one_line(text: str) -> str:
    """A text on one line: what begins a line, commands a terminal or turns a text around is written as Python escapes it."""
    return _COMMANDS.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def mask_name(name: str) -> str:
    """What a user called a thing, or where in their data it stands, as an error shows it: a number may be a key too."""
    return one_line(".".join(map(mask_text, mask_text(name).split("."))))  # by steps too: behind a point a number may be of any kind


def mask_address(address: Path | str) -> str:
    """Mask the address of a database, whose password ends at the ``@`` alone, as SQLAlchemy reads it. The path of a file stays."""
    if not isinstance(address, str) or "://" not in address:
        return str(address)
    scheme, _, rest = address.partition("://")
    login = _LOGIN.match(rest)
    if login is None:
        return f"{scheme}://{mask_text(rest)}"
    password = "" if login["password"] is None else ":***" if login["password"] else ":"
    return f"{scheme}://{login['user']}{password}@{mask_text(rest[login.end() :])}"


def mask_start(text: str, longest: int) -> str:
    """As much of a masked text as is shown, and ``…`` for its rest, which is not looked at: it may be the transcript of an hour."""
    looked_at = longest + _EDGE
    while looked_at < len(text):
        shown = mask_text(_USER_INFO_CUT.sub("***", text[:looked_at]))
        if len(shown) >= longest + _EDGE // 2:  # of a key three letters are left, however long it is
            return _shortened(shown, longest)
        looked_at *= 2
    return _shortened(mask_text(text), longest)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def without_key(text: str, headers: Mapping[str, str]) -> str:
    """Leave out the API key that is in the headers of a request, whatever it looks like: a server may repeat it in what it says."""
    key = next((value for name, value in headers.items() if name.lower() == "authorization"), "").removeprefix("Bearer ")
    if not key or key not in text:
        return text
    if len(key) >= _LONG_KEY:
        return text.replace(key, "***")
    return re.sub(rf"(?:(?<!\w)|{_BEHIND_AN_ESCAPE}){re.escape(key)}(?!\w)", "***", text)


def _masked_national(match: re.Match[str]) -> str:
    text = match.group()
    return mask(text) if len(_NO_DIGIT.sub("", text)) >= _LEAST_DIGITS else text


def _masked_number(match: re.Match[str]) -> str:
    plus = match["plus"]
    return mask(match.group()) if plus is None else plus + mask("+" + _NO_DIGIT.sub("", match.group().removeprefix(plus)))[1:]


def masked(value: object, key: str = "", depth: int = 0) -> object:
    """Parsed JSON with every secret in it masked, and ``…`` for what is nested too deeply to be shown by anybody.

    :param key: the name of the field that holds it.
    """
    if isinstance(value, str):
        return _masked_str(key, value)
    if depth > _DEEPEST and isinstance(value, (list, tuple, Mapping)):
        return "…"
    if isinstance(value, (list, tuple)):
        return [masked(item, key, depth + 1) for item in cast("Sequence[object]", value)]
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value).items()
        return {
            mask_text(str(name)): "***" if _is_secret(key, str(name)) else masked(entry, str(name), depth + 1) for name, entry in entries
        }
    if isinstance(value, int) and not isinstance(value, bool) and _PHONE_FIELD.search(key):
        return mask(str(value))
    return value


class Hidden(Generic[T]):
    """Holds what must not be seen where the local variables of a traceback are shown."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"


class HiddenMapping(Mapping[str, str]):
    """Used as a dict of texts is, and not seen where what the lines of a traceback name, attributes among it, is shown."""

    __slots__ = ("_hidden", "as_sent")

    def __init__(self, values: Mapping[str, str]) -> None:
        self._hidden = Hidden(dict(values))
        self.as_sent: Hidden[Any] | None = None
        """For whoever sends it: what it has made of it."""

    def __getitem__(self, name: str) -> str:
        return self._hidden.value[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._hidden.value)

    def __len__(self) -> int:
        return len(self._hidden.value)

    def items(self) -> ItemsView[str, str]:
        return self._hidden.value.items()

    def __repr__(self) -> str:
        return "***"


def masked_repr(name: str, fields: Mapping[str, Any]) -> str:
    """``Name(field=value, ...)``, short enough for a log line, with no secret in it. What is not shown costs nothing."""
    left = iter(range(_MOST_SHOWN))
    shown = [
        f"{mask_start(key[:_EDGE], _LONGEST_TEXT)}={_shown(key[:_EDGE], value, left)}"
        for (key, value), _ in zip(fields.items(), left, strict=False)
    ]
    return f"{name}({_listed(shown, len(fields))})"


def masked_fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values with no secret in them, whole, for what prints values in a way of its own."""
    for name, value in fields.items():
        yield mask_text(name), masked(value, name)


def masked_traceback(error: BaseException) -> str:
    """The traceback of an error as text, for a log: a message or a line of code in it may quote a secret."""
    return mask_text("".join(format_exception(error)))


def _shown(key: str, value: Any, left: Iterator[object], depth: int = 0) -> str:
    """What a repr shows of a value.

    :param left: gives something for each value that may still be shown.
    """
    if isinstance(value, str):
        return repr(_masked_str(key, value, _LONGEST_TEXT))
    kind = value.__class__
    if depth > _DEEPEST_SHOWN and kind in {list, dict}:
        return "…"
    if kind is list:
        shown = [_shown(key, item, left, depth + 1) for item, _ in zip(value[:_MOST_ITEMS], left, strict=False)]
        return f"[{_listed(shown, len(value))}]"
    if kind is dict:
        entries = islice(cast("dict[object, Any]", value).items(), _MOST_ENTRIES)
        shown = [_entry(key, name, entry, left, depth + 1) for (name, entry), _ in zip(entries, left, strict=False)]
        return f"{{{_listed(shown, len(value))}}}"
    if isinstance(value, int) and not isinstance(value, bool) and _PHONE_FIELD.search(key):
        return mask(str(value))
    return repr(value) if isinstance(value, (int, float)) or value is None else mask_text(repr(value))


def _entry(holder: str, name: object, value: Any, left: Iterator[object], depth: int) -> str:
    key = str(name)[:_EDGE]
    shown = mask_start(key, _LONGEST_TEXT)
    entry = "'***'" if _is_secret(holder, key) else _shown(key, value, left, depth)
    return f"{repr(shown) if isinstance(name, str) else shown}: {entry}"


def _listed(shown: list[str], of: int) -> str:
    return ", ".join([*shown, *([f"… {of - len(shown)} more"] if len(shown) < of else [])])


def is_secret(name: str, holder: str = "") -> bool:
    """Whether a field holds a secret, by its name and that of what it stands in."""
    return _SECRET_FIELD.search(name) is not None or _is_secret(holder, name)


def _is_secret(holder: str, name: str) -> bool:
    """Whether an entry of what is sent to somebody is a secret: of headers, each that is not known to be none."""
    if holder == "headers":
        return name.lower() not in _HARMLESS_HEADERS
    return holder == "query_params" and _CREDENTIAL_NAME.fullmatch(name) is not None


def _masked_str(key: str, value: str, longest: int = sys.maxsize) -> str:
    if _SECRET_FIELD.search(key):
        return "***"
    start = value[: longest + 1]
    if _PHONE_FIELD.search(key) and any(map(str.isdigit, start)):
        return _shortened(mask(start), longest)
    return mask_start(value, longest)


def cut(error: E, until: BaseException | None = None, *, note: bool = False, headers: Mapping[str, str] | None = None) -> E:
    """Take the frames through which requests pass out of the traceback of an error, and of its causes. Other frames stay.

    What a message of httpx's quotes of an answer is masked.

    To be called where the error is caught and raised again, so that the frames above come to it afterwards.

    :param until: an error that was being handled before, and is left as it is.
    :param headers: of the request, whose API key is masked too.
    :param note: say in a note of the error where it was raised, for one that nobody expects.
    """
    if note:
        error.add_note(
            "\n".join(["raised in", *(f"  {frame.name}, {frame.filename}:{frame.lineno}" for frame in extract_tb(error.__traceback__))])
        )
    left: list[BaseException | None] = [error]
    seen = {id(until)}
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _without(one.__traceback__)
        if type(one).__module__.partition(".")[0] in _QUOTING:
            one.args = tuple(mask_text(without_key(text, headers or {})) if isinstance(text, str) else text for text in one.args)
        quiet = one.__suppress_context__
        one.__cause__, one.__context__ = _behind(one.__cause__), _behind(one.__context__)
        one.__suppress_context__ = quiet
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", one).exceptions
    return error


def _behind(error: BaseException | None) -> BaseException | None:
    """Leave out errors that httpx has translated: what they say is said, and the repr of one of aiohttp shows headers."""
    while error is not None and type(error).__module__.partition(".")[0] in _TRANSLATED:
        error = error.__cause__ or error.__context__
    return error


def _without(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _ON_THE_WAY:
            kept.append(traceback)
        traceback = traceback.tb_next
    found: TracebackType | None = None
    for entry in reversed(kept):
        found = TracebackType(found, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return found
