"""References in files, ``${{ vars.company }}``, ``${{ env.CRM_TOKEN }}`` and ``${{ file prompt.md }}``, which keep keys out of them."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from typing import Any, cast

import attrs

from .kinds import Json, key_of

__all__ = [
    "OTHER",
    "Token",
    "Vault",
    "WRONG",
    "apart",
    "concealed",
    "escape",
    "expand",
    "is_of_profile",
    "paired",
    "pieces",
    "rewritten",
    "secrets_in",
    "tokens",
    "unescape",
    "unmarked",
]

_TOKEN = re.compile(r"(?<!\$)\$\{\{\s*(?:(?P<kind>env|vars)\.(?P<name>\w+)|file\s+(?P<path>[^}\s][^}]*?))\s*\}\}")
_GROWN = re.compile(r"[\w!@#$%^&*+=/~-]\$\{\{\s*env\.|env\.\w+\s*\}\}\.?[\w!@#$%^&*+=/~-]")
"""A reference with more beside it that may be part of a key: the next one often is the one before and a sign more."""
_ANY = re.compile(r"(?<!\$)\$\{\{")
_SECRET_NAME = re.compile(
    r"auth(?!ors?\b|or[-_])|api.?key|token|secret|passw|pwd|cookie|credential|signature|jwt|(?:^|[-_])(?:key|pass)$|(?-i:(?<=[a-z])Key$)",
    re.IGNORECASE,
)
_NAMED = r"(?:api|access|auth|secret|private|subscription|license)[-_ ]?key|token|secret|passw(?:or)?d|pwd|credentials?"
_SECRET_VARIABLE = re.compile(rf"(?:^|[-_]|(?-i:(?<=[a-z])(?=[A-Z])))(?:{_NAMED}|key|auth|bearer)$", re.IGNORECASE)
_KEYS_ALONE = re.compile(r"authorization|api.?key", re.IGNORECASE)
"""The names of settings that hold nothing but keys: whatever stands there is one."""
_HOLDERS = ("headers", "query_params", "custom_sip_headers")
_VARIABLES = ("default_dynamic_variables", "dynamic_variables", "variables")
_SECRET_FIELDS = ("cal_api_key", "auth_password")
_SCHEMES = r"(?:Bearer|Basic|Token|ApiKey)"
_SCHEME = re.compile(rf"\s*{_SCHEMES}(?:\s+|$)", re.IGNORECASE)
_AROUND = r"\s{}<>\"'`?#,;"
"""What stands around and between addresses in texts and code, and ends what is taken from one."""
_LOGIN = re.compile(rf"(?<=://)[^/:@{_AROUND}]*:[^/@{_AROUND}]+(?:@[^/@{_AROUND}]+)*(?=@)")
_SHAPES = re.compile(
    r"(?:(?<![^\W_])|(?<=\\[nrt])|(?<=%[0-9a-f]{2}))(?:key_[0-9a-f]{20,}|sk-[\w-]{20,}|(?:[rs]k_(?:live|test)|whsec)_[\w+/=]{10,}"
    r"|gh[pousr]_[\w-]{16,}(?:\.[\w-]+)*|github_pat_\w{16,}|(?:xox[a-z]|xapp)-[\w%-]{16,}"
    r"|(?-i:A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z]))|AIza[\w-]{20,}|GOCSPX-[\w-]{20,}|ya29\.(?:c\.)?[\w-]{20,}|1//0[\w-]{20,}"
    r"|SG\.[\w-]{10,}\.[\w-]{10,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)"
    r"|\bBearer(?:\s|%20)+([\w.~+/=-]{11,}[\w~+/=-])"
    r"|(?:(?<=hooks\.slack\.com/services/)|(?<=hooks\.slack\.com/triggers/)|(?<=hooks\.slack\.com/workflows/))[\w/]{12,}"
    r"|(?<![?&])[?&](?:(?:[\w-]*[-_])?(?:api_?key|token|secret|password)|(?:access|auth)_?token|subscription-key|key|sig|signature"
    rf"|code(?==[\w~+/=%-]{{20}}))=(?![=>])([^&{_AROUND}]+)",
    re.IGNORECASE,
)
_BASIC = re.compile(r"\bBasic(?:\s|%20)+(?P<value>[\w+/]{8,}={0,2})", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?:{_NAMED}|authorization)\\?[\"'`*_]{{0,4}}\]?\s*(?::=|=>|(?::\s*[a-z]+\s*)?=|:)(?!=)\*{{0,3}}\s*\*{{0,3}}(?:"
    rf"\\?(?P<mark>[\"'`])(?:{_SCHEMES}\s+)?(?P<quoted>[\w.~+/=!@#$%^&*-]{{8,}})\\?(?P=mark)"
    rf"|(?:{_SCHEMES}\s+)?(?![\w.+-]+@[\w-]+\.\w)(?P<plain>[\w~+/=-](?:[\w~+/=@#%^-]|!(?!=)|[.*$](?=\w)){{15,}})(?![\w(\[]|\.\w))",
    re.IGNORECASE,
)
"""A name that says what it is, and a value beside it: in quotation marks, or after a colon or an equals sign alone, as in headers.

Without quotation marks ``$`` and ``@`` begin variables and addresses of mail, and what has dots may be an attribute in code."""
_JOINTS = re.compile(r"[\s_.,-]+")
_SIGNS = re.compile(r"[!@#%^*$]+")
_PARTS = re.compile(r"[^\W_]+")
_TEMPLATE = re.compile(r"{{.*?}}", re.DOTALL)
_LONG = 20
"""As many characters no word has that stands where keys do."""
_SHORT = 2
"""As many characters of letters and digits are no key: `v2`, `Q4`."""
_KNOWN = 8
"""As many characters of mixed letters and digits has what is a key by its looks. Shorter ones stand in words too."""
_OWN = "RETELL_"
"""What the names begin with that this package itself reads in the environment: keys of profiles, addresses and more."""
_OF_PROFILES = re.compile(rf"{_OWN}(?:API|WEBHOOK)_KEY(?:_[A-Z]\w*)?")  # a profile's name begins with a letter
OTHER = " (another value in the account)"
"""What stands behind a text with a reference whose key is another one in the account."""
WRONG = "is no reference: they are ${{ vars.NAME }}, ${{ env.NAME }} and ${{ file PATH }}; for the text itself write $${{"


@attrs.frozen
class Token:
    """A reference: of the kind ``env``, ``vars`` or ``file``."""

    kind: str
    name: str


def escape(text: str) -> str:
    """A text of the account as a file holds it."""
    return text.replace("${{", "$${{")


def unescape(text: str) -> str:
    return text.replace("$${{", "${{")


def tokens(text: str) -> Iterator[Token]:
    """The references in a text.

    :raises ValueError: one is none.
    """
    for begin in _ANY.finditer(text):
        found = _TOKEN.match(text, begin.start())
        if found is None:
            raise ValueError(WRONG)
        yield _token(found)


def is_of_profile(token: Token) -> bool:
    """Whether this is the key of an account, which an agent must not have: tools and prompts could use it."""
    return token.kind == "env" and _OF_PROFILES.fullmatch(token.name) is not None


def _token(found: re.Match[str]) -> Token:
    return Token(found["kind"] or "file", found["name"] or found["path"])


def expand(text: str, value: Callable[[Token], Any]) -> Any:
    """A text with what its references stand for; one that is nothing but a reference may become anything.

    :param value: gives what one stands for; ``None`` leaves it as it is.
    :raises TypeError: one stands within a text for something else: what text that is, YAML does not say.
    """
    whole = _TOKEN.fullmatch(text.strip())
    if whole is not None:
        found = value(_token(whole))
        if found is None:
            return text
        if not isinstance(found, str) or text.strip("\r\n") == text.strip():  # a block of YAML ends in a line end
            return found

    def inside(match: re.Match[str]) -> str:
        found = value(_token(match))
        if not isinstance(found, str | None):
            raise TypeError(f"{match[0]} is no text, and stands within one: write what it stands for in quotation marks")
        return match[0] if found is None else found

    return _TOKEN.sub(inside, text)


def secrets_in(path: tuple[str | int, ...], text: str) -> list[str]:
    """The keys that stand in a text at this place. `docs/guides/config.md` says what is recognised."""
    names = [part for part in path if isinstance(part, str)]
    holders = {*names[:-1]}
    bare = _TOKEN.sub("{{}}", text)
    if names and (
        names[-1] in _SECRET_FIELDS
        or (holders & {*_HOLDERS} and (_SECRET_NAME.search(names[-1]) or (names[-1] == "code" and len(text) >= _LONG)))
        or (holders & {*_VARIABLES} and _SECRET_VARIABLE.search(names[-1]))
    ):
        alone = names[-1] in _SECRET_FIELDS or _KEYS_ALONE.search(names[-1])
        parts = [part.strip() for part in _TEMPLATE.sub("\0", _SCHEME.sub("", bare, count=1)).split("\0")]
        if len(parts) > 1:  # a scheme or a name may stand beside a template
            return [part for part in parts if _is_token(part)]
        return [part for part in parts if part and (alone or not _is_ordinary(part))]
    found = [one[one.lastindex or 0] for one in _SHAPES.finditer(bare)]
    for one in _ASSIGNED.finditer(bare):
        value: str = one["quoted"] or one["plain"]
        told = value if one["quoted"] else "" if _is_ordinary(_SIGNS.sub("-", value)) else value.partition(".")[0]
        if re.search("[a-z]", told, re.IGNORECASE) and len(re.findall(r"\d", told)) >= (1 if one["quoted"] else 2):
            found.append(value)
    found = [value for value in found if not _is_ordinary(value.replace(":", "-"))]  # `x?token=a.b:c` is a condition in code
    found += [one[0] for one in _LOGIN.finditer(bare)]
    found += [one["value"] for one in _BASIC.finditer(bare) if _is_pair(one["value"])]
    return sorted(dict.fromkeys(found), key=lambda key: -len(key))  # one may be part of another, and stand alone too


def _is_ordinary(text: str) -> bool:
    """Whether this is words and numbers, as `home-page-2024`, `jwt` and `fetch_token_v2` are."""
    return all(
        len(part) <= _SHORT
        or (len(part) < _LONG and (part.isdecimal() or (part.isalpha() and part in {part.lower(), part.upper(), part.title()})))
        for part in _JOINTS.split(text)
    )


def _is_token(text: str) -> bool:
    """Whether this is a key by its own looks: parts that have both letters and digits are eight characters or more of it."""
    mixed = [part for part in _PARTS.findall(_SIGNS.sub("", text)) if not part.isdecimal() and not part.isalpha()]
    return sum(map(len, mixed)) >= _KNOWN


def _is_pair(text: str) -> bool:
    """Whether this is a name and a password as `Authorization: Basic` has them, and no word after the word "basic"."""
    try:
        said = b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True).decode()
    except ValueError:
        return False
    return ":" in said and said.isprintable()


def pieces(text: str, value: Callable[[Token], str | None]) -> Iterator[tuple[str, str, Token | None]]:
    """A text cut at its references: what stands there, what it stands for, and the reference."""
    end = 0
    for begin in _ANY.finditer(text):
        found = _TOKEN.match(text, begin.start())
        if found is not None:
            yield text[end : begin.start()], text[end : begin.start()], None
            token = _token(found)
            shown = value(token)
            yield found[0], found[0] if shown is None else shown, token
            end = found.end()
    yield text[end:], text[end:], None


def rewritten(raw: str, value: Callable[[Token], str | None], text: str) -> str | None:
    """A text with references, changed so that it stands for another text and keeps them.

    :param value: gives what one stands for; ``None`` for one that stands for itself.
    :returns: ``None`` where what was changed is in what a reference stands for.
    """
    parts = list(pieces(raw, value))
    old = "".join(shown for _, shown, _ in parts)
    begin = _alike(old, text)
    end = _alike(old[begin:][::-1], text[begin:][::-1])
    at = 0
    before, after = "", ""
    for stands, shown, token in parts:
        first, last = max(0, min(len(shown), begin - at)), max(0, min(len(shown), len(old) - end - at))
        at += len(shown)
        if token is None:
            before, after = before + stands[:first], after + stands[last:]
        elif first == len(shown):
            before += stands
        elif last == 0:
            after += stands
        else:
            return None
    found = before + text[begin : len(text) - end] + after
    return found if "".join(shown for _, shown, _ in pieces(found, value)) == text else None


def _alike(one: str, other: str) -> int:
    """With how many characters two texts begin alike."""
    return next((index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@attrs.define
class Vault:
    """Keys that were found in an account, each under a name of the environment, so that they stand in no file.

    :param environment: what the names stand for now.
    :param used: the names that files refer to.
    """

    environment: Mapping[str, str]
    used: Collection[str] = ()
    found: MutableMapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """By name, the keys that files are given references in place of."""
    held: MutableMapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """By name, what the account has in place of references to what the environment lacks."""
    unknown: set[str] = attrs.field(factory=set[str])
    """Names that files refer to and the environment lacks: what they stand for was not compared."""
    others: MutableMapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """By name, what the account has in place of references that stand for another key in the environment."""

    def name(self, value: str, path: tuple[str, ...]) -> str:
        """The name that a key gets; the same key always has the same, if it is one by its looks: others may be alike by chance."""
        known = next((name for name, key in self._keys().items() if key == value), None) if _is_token(value) else None
        if known is not None:
            return known
        plain = unicodedata.normalize("NFKD", "_".join(path)).encode("ascii", "ignore").decode()  # what a shell takes for a name
        base = re.sub(r"\W+", "_", plain).upper().strip("_") or "KEY"
        base = f"_{base}" if base[:1].isdecimal() or base.startswith(_OWN) else base
        name, count = base, 1
        while self._is_taken(name, value) and self.found.get(name) != value:
            count += 1
            name = f"{base}_{count}"
        self.found[name] = value
        return name

    def _is_taken(self, name: str, value: str) -> bool:
        if name in self.environment:
            return self.environment[name] != value
        return name in self.found or (name in self.used and self.held.get(name) != value)

    def known(self) -> Iterator[tuple[str, str]]:
        """The keys that files refer to or are given references in place of, longest first, that are kept out wherever they stand."""
        known = [(name, key) for name, key in self._keys().items() if _is_token(key)]
        yield from sorted(known, key=lambda one: -len(one[1]))

    def _keys(self) -> dict[str, str]:
        return {name: self.environment[name] for name in sorted(self.used) if name in self.environment} | {**self.found}


def concealed(value: Any, beside: Any, vault: Vault, path: tuple[str | int, ...]) -> Any:
    """A value of the account as a file may hold it: literal text escaped, and references in place of keys.

    :param beside: what the file has there, whose references are kept where they stand for the same.
    :param path: where it is, beginning with the name of the object.
    """
    if isinstance(value, dict):
        other = cast("Json", beside) if isinstance(beside, dict) else {}
        return {name: concealed(item, other.get(name), vault, (*path, name)) for name, item in cast("Json", value).items()}
    if isinstance(value, list):
        items, others = cast("list[object]", value), cast("list[object]", beside) if isinstance(beside, list) else []
        return [
            concealed(item, None if at is None else others[at], vault, (*path, key_of(item) or index))
            for index, (item, at) in enumerate(zip(items, paired(items, others), strict=True))
        ]
    if not isinstance(value, str):
        return value
    text = escape(value)
    if beside == text:
        return text if not secrets_in(path[1:], value) else _hidden(text, value, vault, path)
    if isinstance(beside, str) and any(token.kind == "env" for token in tokens(beside)):
        kept = _kept(text, beside, vault)
        if kept is not None:
            return kept
    text = _hidden(text, value, vault, path)  # first: a key may have another one in it
    for name, key in vault.known():
        text = f"${{{{ env.{name} }}}}".join(text.split(escape(key)))
    return text


def _hidden(text: str, value: str, vault: Vault, path: tuple[str | int, ...]) -> str:
    """A text with references in place of what looks like a key."""
    for key in secrets_in(path[1:], value):
        named = tuple(f"{part}" for part in path[-1:] if part not in _HOLDERS)
        around = tuple(
            f"{part}"
            for part in path[1:-1]
            if isinstance(part, str) and part not in {*_HOLDERS, *_VARIABLES, "general_tools", "tools", "mcps"}
        )
        if escape(key) in text:
            name = vault.name(key, (f"{path[0]}".rpartition("/")[2], *around[-2:], *named))
            text = text.replace(escape(key), f"${{{{ env.{name} }}}}")
    return text


def _kept(text: str, beside: str, vault: Vault) -> str | None:
    """What the file has, where it stands for this text of the account; ``None`` when it is something else altogether.

    Marked where it would, if a key were not another one. Who changed the key cannot be known: nothing of a key is kept anywhere.
    """
    names = [token.name for token in tokens(beside) if token.kind == "env"]
    missing = [name for name in names if name not in vault.environment]

    def value(token: Token) -> str | None:
        return escape(vault.environment[token.name]) if token.kind == "env" and token.name in vault.environment else None

    told = all(len(vault.environment.get(name, "")) >= _KNOWN for name in names)  # a shorter one may stand anywhere
    if told and (kept := rewritten(beside, value, text)) is not None and len(_GROWN.findall(kept)) <= len(_GROWN.findall(beside)):
        return kept
    if "".join(shown for _, shown, _ in pieces(beside, value)) == text:
        return beside
    match = _standing(beside, text, value) or _standing(beside, text, lambda _: None)
    if match is None:
        return None
    said = {name: unescape(group) for name, group in zip(names, match.groups(), strict=True)}
    vault.unknown.update(missing)
    vault.held.update((name, said[name]) for name in missing)
    others = {name: key for name, key in said.items() if name not in missing and key != vault.environment[name]}
    vault.others.update(others)
    return beside + OTHER if others else beside


def _standing(beside: str, text: str, value: Callable[[Token], str | None]) -> re.Match[str] | None:
    """A text of the account as one of the file, with a group for each key. What `value` does not know may be anything."""
    parts = pieces(beside, lambda token: value(token) if token.kind == "env" else None)
    pattern = [
        re.escape(stands) if token is None or token.kind != "env" else "(.+)" if shown == stands else f"({re.escape(shown)})"
        for stands, shown, token in parts
    ]
    return re.fullmatch("".join(pattern), text, re.DOTALL)


def apart(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Where keys in the account are others than in the environment, with the names of the environment in question."""
    if isinstance(value, dict):
        for name, item in cast("Json", value).items():
            yield from apart(item, (*place, name))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from apart(item, (*place, unmarked(key_of(item)) or f"{index}"))
    elif isinstance(value, str) and value.endswith(OTHER):
        yield place, [token.name for token in tokens(value) if token.kind == "env"]


def unmarked(value: Any) -> Any:
    """A value without the marks of keys that are others."""
    if isinstance(value, dict):
        return {name: unmarked(item) for name, item in cast("Json", value).items()}
    if isinstance(value, list):
        return [unmarked(item) for item in cast("list[object]", value)]
    return value.removesuffix(OTHER) if isinstance(value, str) else value


def paired(items: list[object], others: list[object]) -> list[int | None]:
    """For each item of a list, where its counterpart in another is: the one of the same key, or else the one in the same place."""
    keys, beside = [key_of(item) for item in items], [key_of(item) for item in others]
    if None not in keys and None not in beside and len({*keys}) == len(keys) and len({*beside}) == len(beside):
        known = {key: index for index, key in enumerate(beside)}
        return [known.get(key) for key in keys]
    return [index if index < len(others) else None for index in range(len(items))]
