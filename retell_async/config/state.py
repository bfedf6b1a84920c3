"""What was applied last, per environment: one file, which lives in git beside the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeAlias, cast

import attrs

from .._core.errors import ConfigurationError
from .._files import replacing
from .kinds import Json, is_name, natural

__all__ = [
    "FILE",
    "Base",
    "Bound",
    "Pending",
    "State",
    "digest",
    "environments_of",
    "read_state",
    "replace_file",
    "states_in",
    "write_state",
]

FILE = "retell.state.json"
_VERSION = 1

Base: TypeAlias = "tuple[str | None, str | None]"
"""Digests of a setting when both were last brought together: in the file and in the account; ``None`` where it was not."""


def digest(value: Any) -> str | None:
    """What tells a value from others. A number is the same with ``.0`` and without."""
    if value is None:
        return None
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in cast("Json", value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@attrs.define
class Bound:
    """An object of an account that a file is about.

    :param base: by setting, what both had when they were last brought together.
    """

    id: str
    base: dict[str, Base] = attrs.field(factory=dict[str, Base])


@attrs.frozen
class Pending:
    """A creation that was begun.

    :param sent: what was sent, in outline.
    :param before: the ids of those that were there before, and that no file was about.
    """

    sent: dict[str, str | None]
    before: list[str]


@attrs.define
class State:
    """The state of one environment."""

    objects: dict[str, Bound] = attrs.field(factory=dict[str, Bound])
    pending: dict[str, Pending] = attrs.field(factory=dict[str, Pending])
    workspace: str | None = None
    """Which workspace it is about, where the API said so."""

    def take_along(self, other: State, ids: Collection[str]) -> bool:
        """Go on from what is known of the same workspace as another environment, if nothing is known of it here.

        :param ids: of what the workspace holds: if it lacks any that the other knows, it may be another one after all.
        :returns: whether it goes on from objects.
        """
        if self.objects or self.pending or not all(bound.id in ids for bound in other.objects.values()):
            return False
        self.objects = {name: Bound(bound.id, dict(bound.base)) for name, bound in other.objects.items()}
        self.pending = dict(other.pending)
        return bool(self.objects)

    def name_of(self, id: str) -> str | None:
        return next((name for name, bound in self.objects.items() if bound.id == id), None)


def read_state(root: Path, environment: str) -> State:
    """The state of an environment; empty where nothing was applied yet.

    :raises ConfigurationError: the file cannot be read.
    """
    return _state(root, _read(root), environment)


def states_in(root: Path, content: bytes) -> list[State]:
    """The states of all environments that another version of the file has; none where that cannot be read."""
    try:
        whole = json.loads(content)
        return [_state(root, whole, name) for name in whole.get("environments", {})]
    except (ValueError, AttributeError, ConfigurationError):
        return []


def _state(root: Path, whole: Json, environment: str) -> State:
    try:
        said = whole.get("environments", {}).get(environment, {})
        state = State(
            {
                name: Bound(f"{one['id']}", {field: _base(pair) for field, pair in one["fields"].items()})
                for name, one in said.get("objects", {}).items()
            },
            {name: Pending(dict(one["sent"]), list(one["before"])) for name, one in said.get("pending", {}).items()},
            said.get("workspace"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(root, f"{type(error).__name__}: {error}") from None
    if wrong := [name for name in (*state.objects, *state.pending) if not is_name(name)]:
        raise _damaged(root, f"{wrong[0]!r} names no object")
    return state


def environments_of(root: Path) -> list[str]:
    """The environments in which anything was ever brought together, or begun.

    :raises ConfigurationError: the file cannot be read.
    """
    return [name for name, said in _read(root).get("environments", {}).items() if said.get("objects") or said.get("pending")]


def write_state(root: Path, environment: str, state: State) -> None:
    """Replace the state of an environment, whole or not at all."""
    whole = _read(root)
    said: Json = {
        "objects": {
            name: {"id": bound.id, "fields": {field: _pair(bound.base[field]) for field in sorted(bound.base)}}
            for name, bound in sorted(state.objects.items(), key=lambda one: natural(one[0]))
        }
    }
    if state.pending:
        said["pending"] = {name: attrs.asdict(one) for name, one in sorted(state.pending.items())}
    if state.workspace:
        said["workspace"] = state.workspace
    whole |= {"version": _VERSION, "environments": dict(sorted({**whole.get("environments", {}), environment: said}.items()))}
    path = root / FILE
    text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    replace_file(path, text.encode())


def replace_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file whole or not at all: one that was there stays until then, and keeps its permissions.

    :param mode: the permissions, whatever they were.
    :raises ConfigurationError: it cannot be written, as where the disk is full.
    """
    try:
        path.resolve().parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None


def _read(root: Path) -> Json:
    try:
        found: Json = json.loads((root / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise _damaged(root, f"{error}") from None
    if not isinstance(cast("object", found), dict):
        raise _damaged(root, "it holds no mapping")
    if found.get("version") != _VERSION:
        raise ConfigurationError(f"{root / FILE} is of another version of this package")
    return found


def _damaged(root: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"{root / FILE} cannot be read ({why}): put back the version that git has")


def _pair(base: Base) -> Any:
    return base[0] if base[0] == base[1] else [*base]


def _base(said: Any) -> Base:
    pair = cast("list[object]", said) if isinstance(said, list) else [said, said]
    match pair:
        case [str() | None as file, str() | None as account]:
            return file, account
        case _:
            raise TypeError("a digest is a text")
