"""References in files, ``${{ vars.company }}``, ``${{ env.CRM_TOKEN }}`` and ``${{ file prompt.md }}``, which keep keys out of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, cast

import attrs

from .kinds import Json, key_of

__all__ = ["OTHER", "Token", "Vault", "WRONG", "concealed", "escape", "expand", "paired", "secrets_in", "tokens", "unescape"]

_TOKEN = re.compile(r"(?<!\$)\$\{\{\s*(?:(?P<kind>env|vars)\.(?P<name>\w+)|file\s+(?P<path>[^}\s][^}]*?))\s*\}\}")
_ANY = re.compile(r"(?<!\$)\$\{\{")
_SECRET_NAME = re.compile(r"auth|api.?key|token|secret|passw|cookie|credential|signature", re.IGNORECASE)
_HOLDERS = ("headers", "query_params", "custom_sip_headers")
_SECRET_FIELDS = ("cal_api_key", "auth_password")
_SHAPES = re.compile(
    r"\b(?:key_[0-9a-f]{20,}|sk-[\w-]{20,}|(?:gh[pousr]|xox[abps])[_-][\w-]{16,}|AKIA[0-9A-Z]{16}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)"
    r"|(?<=Bearer )[\w.~+/=-]{12,}|(?<=://)[^/\s:@{}]+:[^/\s@{}]+(?=@)"
    r"|(?<=[?&])(?:(?:[\w-]*[-_])?(?:api_?key|token|secret|password))=[^&\s{}\"']+",
    re.IGNORECASE,
)
OTHER = " (another value in the account)"
"""What stands behind a reference whose key the account does not have."""
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


def _token(found: re.Match[str]) -> Token:
    return Token(found["kind"] or "file", found["name"] or found["path"])


def expand(text: str, value: Callable[[Token], Any]) -> Any:
    """A text with what its references stand for; one that is nothing but a reference may become anything.

    :param value: gives what one stands for; ``None`` leaves it as it is.
    """
    whole = _TOKEN.fullmatch(text.strip())
    if whole is not None:
        found = value(_token(whole))
        return text if found is None else found
    return _TOKEN.sub(lambda match: match[0] if (found := value(_token(match))) is None else f"{found}", text)


def secrets_in(path: tuple[str | int, ...], text: str) -> list[str]:
    """The keys that stand in a text at this place."""
    bare = _TOKEN.sub("", text)
    names = [part for part in path if isinstance(part, str)]
    if names and (names[-1] in _SECRET_FIELDS or (set(names[:-1]) & {*_HOLDERS} and _SECRET_NAME.search(names[-1]))):
        scheme, _, rest = bare.partition(" ")
        key = rest if scheme.lower() in {"bearer", "basic", "token", "apikey"} else bare
        return [key] if key.strip() and "{{" not in key else []
    return [found[0].rpartition("=")[2] if "=" in found[0] and found[0][0] not in "eE" else found[0] for found in _SHAPES.finditer(bare)]


@attrs.define
class Vault:
    """Keys that were found in an account, each under a name of the environment, so that they stand in no file.

    :param environment: what the names stand for now.
    """

    environment: Mapping[str, str]
    found: MutableMapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """By name, the keys that files are given references in place of."""
    unknown: set[str] = attrs.field(factory=set[str])
    """Names that files refer to and the environment lacks: what they stand for was not compared."""
    others: set[str] = attrs.field(factory=set[str])
    """Names that stand for another value than that in the account."""

    def name(self, value: str, path: tuple[str, ...]) -> str:
        """The name that a key gets; the same key always has the same."""
        known = next((name for name, key in self.found.items() if key == value), None)
        if known is not None:
            return known
        base = re.sub(r"\W+", "_", "_".join(path)).upper().strip("_")
        base = f"_{base}" if base[:1].isdecimal() else base
        name, count = base, 1
        while name in self.found or self.environment.get(name, value) != value:
            count += 1
            name = f"{base}_{count}"
        self.found[name] = value
        return name


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
    if isinstance(beside, str) and any(token.kind == "env" for token in tokens(beside)):
        kept = _kept(text, beside, vault)
        if kept is not None:
            return kept
    for key in secrets_in(path[1:], value):
        named = tuple(f"{part}" for part in path[-1:] if part not in _HOLDERS)
        around = tuple(
            f"{part}" for part in path[1:-1] if isinstance(part, str) and part not in {*_HOLDERS, "general_tools", "tools", "mcps"}
        )
        text = text.replace(escape(key), f"${{{{ env.{vault.name(key, (f'{path[0]}'.rpartition('/')[2], *around[-2:], *named))} }}}}")
    return text


def _kept(text: str, beside: str, vault: Vault) -> str | None:
    """What the file has, where it stands for this text of the account; ``None`` when it is something else altogether."""
    names = [token.name for token in tokens(beside) if token.kind == "env"]
    pattern = ".+".join(map(re.escape, _TOKEN.sub("\0", beside).split("\0")))
    missing = [name for name in names if name not in vault.environment]
    if expand(beside, lambda token: vault.environment.get(token.name)) == text:
        return beside
    if not re.fullmatch(pattern, text, re.DOTALL):
        return None
    if missing:
        vault.unknown.update(missing)
        return beside
    vault.others.update(names)
    return beside + OTHER


def paired(items: list[object], others: list[object]) -> list[int | None]:
    """For each item of a list, where its counterpart in another is: the one of the same key, or else the one in the same place."""
    keys, beside = [key_of(item) for item in items], [key_of(item) for item in others]
    if None not in keys and None not in beside and len({*keys}) == len(keys) and len({*beside}) == len(beside):
        known = {key: index for index, key in enumerate(beside)}
        return [known.get(key) for key in keys]
    return [index if index < len(others) else None for index in range(len(items))]
