"""The folder of files: YAML, with long texts beside as Markdown. Reads it, and writes it so that comments and order stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, cast

import attrs

from .._core.errors import ConfigurationError
from .document import Fault, Path as Place, faults_of
from .kinds import FOLDERS, VOICES, Json, key_of, kind_of, natural, references
from .values import Token, escape, expand, paired, secrets_in, tokens

try:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString
except ModuleNotFoundError as error:  # pragma: no cover - tried in a process of its own
    raise ModuleNotFoundError("agents as files need the extra config: `pip install 'retell-async[config]'`", name=error.name) from None

__all__ = ["Entry", "Environment", "Folder", "Problem", "read_folder"]

ENVIRONMENTS = "environments"
# ruamel.yaml says of no value what it is.
_MAP: type[Any] = CommentedMap
_SEQ: type[Any] = CommentedSeq
_LONG = 300
_LINES = 5
_BREAKS = frozenset("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
_NAME = re.compile(r"[\w][\w.-]*")


@attrs.frozen
class Problem:
    """What is wrong in a file."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}{self.field and ': '}{self.message}"


@attrs.frozen
class Environment:
    """What differs from one workspace to another.

    :param profile: whose API key and address: `RETELL_API_KEY_STAGING` of ``staging``.
    :param variables: what ``${{ vars.NAME }}`` stands for.
    :param values: settings by the names of objects, which take the place of those in their files.
    """

    name: str
    profile: str | None = None
    variables: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    values: Mapping[str, Json] = attrs.field(factory=dict[str, Json])


@attrs.define(eq=False)
class Entry:
    """One file, as it stands there and as it is meant.

    :param raw: what stands in it; `extends` and references among it.
    :param fields: the settings, with variables and texts of other files put in.
    """

    path: Path
    raw: Any
    fields: Json = attrs.field(factory=dict[str, Any])
    origin: dict[str, Entry] = attrs.field(factory=dict[str, "Entry"])
    """By setting, the file in which it stands."""
    resolved: Json = attrs.field(factory=dict[str, Any])
    """What stands in this very file, with variables and texts put in."""


@attrs.define(eq=False)
class Folder:
    """All files of a folder, for one environment."""

    root: Path
    environment: Environment
    entries: dict[str, Entry]
    problems: list[Problem]
    over: Entry | None = None
    """The file of the environment."""

    @property
    def wanted(self) -> dict[str, Json]:
        """The settings of all objects, by their names."""
        return {name: entry.fields for name, entry in self.entries.items()}

    def check(self, known: Mapping[str, Iterable[str | int]] | None = None) -> None:
        """Compare all with the pinned document, and look for keys.

        :param known: by name, fields that the document does not have and the account does.
        :raises ConfigurationError: something is wrong; it names each file, line and field.
        """
        problems = list(self.problems)
        for name, entry in self.entries.items():
            for fault in faults_of(kind_of(name), entry.fields):
                if not fault.unknown or fault.path[-1] not in {*(known or {}).get(name, ())}:
                    problems += [self._problem(entry, fault)]
            problems += [self._problem(entry, fault) for fault in _keys(entry.fields)]
            for reference in references(entry.fields):
                if not reference.startswith(f"{VOICES}/") and reference not in self.entries:
                    problems.append(self._problem(entry, Fault(_place_of(entry.fields, reference), f"there is no file for {reference}")))
        if problems:
            raise ConfigurationError("\n".join(f"{problem}" for problem in dict.fromkeys(problems)))

    def where(self, name: str, place: Place) -> str:
        """The file and line of a setting."""
        problem = self._problem(self.entries[name], Fault(place, ""))
        return f"{problem.file}:{problem.line}"

    def _problem(self, entry: Entry, fault: Fault) -> Problem:
        holder = entry.origin.get(f"{fault.path[0]}", entry) if fault.path else entry
        place: Place = fault.path
        if holder is self.over:
            name = next(name for name, one in self.entries.items() if one is entry)
            place = ("values", name, *fault.path)
        return Problem(holder.path.relative_to(self.root).as_posix(), _line(holder.raw, place), dotted(fault.path), fault.message)

    def write(self, name: str, fields: Json) -> bool:
        """Bring a file to these settings; what is the same already stays as it stands there.

        :returns: whether anything was changed.
        """
        entry = self.entries.get(name)
        if entry is None:
            entry = self.entries[name] = Entry(self.root / f"{name}.yaml", CommentedMap())
        if entry.path.exists() and all(entry.fields.get(field) == fields.get(field) for field in {*entry.fields, *fields}):
            return False
        writer = _Writer(self, entry)
        for field in [*entry.fields, *(field for field in fields if field not in entry.fields)]:
            holder = entry.origin.get(field, entry)
            if entry.fields.get(field) == fields.get(field):
                continue
            target: Any = self.over.raw["values"][name] if self.over is not None and holder is self.over else entry.raw
            before = (self.environment.values[name] if holder is self.over else entry.resolved).get(field)
            if field in fields:
                target[field] = writer.updated(target.get(field), before, fields[field], (field,))
            elif field in target:
                del target[field]
            else:
                target[field] = None  # another file has it, which this one does not follow there
            if holder is self.over and self.over is not None:
                _dump(self.over)
        entry.fields = dict(fields)
        _dump(entry)
        return True

    def remove(self, name: str) -> None:
        """Take away the file of an object. Texts beside it stay: others may refer to them."""
        entry = self.entries.pop(name, None)
        if entry is not None:
            entry.path.unlink(missing_ok=True)


def read_folder(root: Path, environment: str, *, writing: bool = False) -> Folder:
    """Read all files, with what an environment puts in.

    Nothing is refused here: `Folder.check` tells what is wrong.

    :param writing: whether `Folder.write` will be called; otherwise what was parsed once is not parsed again.
    """
    return _Reader(root, environment, _parsed if writing else _parsed_once).read()


def dotted(place: Place) -> str:
    """A place as people read it: ``states[0].tools[1].url``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


class _Reader:
    def __init__(self, root: Path, environment: str, parse: Callable[[str], Any]) -> None:
        self._root = root
        self._name = environment
        self._parse = parse
        self._problems: list[Problem] = []
        self._variables: Mapping[str, Any] = {}

    def read(self) -> Folder:
        over = self._load(self._root / ENVIRONMENTS / f"{self._name}.yaml")
        environment = Environment(self._name) if over is None else self._environment(over)
        self._variables = environment.variables
        loaded: dict[str, Entry] = {}
        for kind in FOLDERS:
            for path in sorted((self._root / kind).glob("*.y*ml"), key=lambda path: natural(path.name)):
                entry = self._load(path)
                if entry is not None:
                    loaded[f"{kind}/{path.stem}"] = entry
        for name, entry in loaded.items():
            entry.resolved = self._resolved(entry, entry.raw, ())
            if not _NAME.fullmatch(name.partition("/")[2]) and not name.partition("/")[2].startswith("_"):
                self._fault(entry, (), "a file is named by letters, digits, - and _")
        values: dict[str, Json] = {}
        for name, found in environment.values.items():
            if over is not None and name not in loaded:
                self._fault(over, ("values", name), "there is no such file")
            elif over is not None:
                values[name] = self._resolved(over, found, ("values", name))
        for name, entry in loaded.items():
            for holder, fields in (*self._family(name, loaded), (over, values.get(name, {}))):
                if holder is not None:
                    entry.fields |= fields
                    entry.origin |= dict.fromkeys(fields, holder)
        entries = {name: entry for name, entry in loaded.items() if not name.partition("/")[2].startswith("_")}
        return Folder(self._root, attrs.evolve(environment, values=values), entries, self._problems, over)

    def _family(self, name: str, loaded: Mapping[str, Entry], seen: tuple[str, ...] = ()) -> list[tuple[Entry, Json]]:
        """The files that an object's settings are taken from, one after the other."""
        entry = loaded[name]
        fields = {field: value for field, value in entry.resolved.items() if field != "extends"}
        parent = entry.resolved.get("extends")
        above: list[tuple[Entry, Json]] = []
        if parent is not None:
            other = f"{name.partition('/')[0]}/{parent}"
            if other not in loaded:
                self._fault(entry, ("extends",), f"there is no file for {other}")
            elif other in seen or other == name:
                self._fault(entry, ("extends",), "goes in a circle")
            else:
                above = self._family(other, loaded, (*seen, name))
        return [*above, (entry, fields)]

    def _environment(self, over: Entry) -> Environment:
        said = cast("Json", _plain(over.raw))
        for field in said:
            if field not in {"profile", "variables", "values"}:
                self._fault(over, (field,), "an environment has profile, variables and values")
        for field in ("variables", "values"):
            if not isinstance(said.get(field) or {}, dict):
                self._fault(over, (field,), "is no mapping")
                said[field] = {}
        for fault in _keys(said.get("variables") or {}):
            self._fault(over, ("variables", *fault.path), fault.message)
        values: Json = said.get("values") or {}
        for name in [name for name, fields in values.items() if not isinstance(fields, dict)]:
            self._fault(over, ("values", name), "is no mapping")
            del values[name]
        return Environment(self._name, said.get("profile"), said.get("variables") or {}, values)

    def _load(self, path: Path) -> Entry | None:
        try:
            found = self._parse(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except MarkedYAMLError as marked:
            error: Any = marked
            mark = error.problem_mark or error.context_mark
            self._problems.append(Problem(self._relative(path), 1 if mark is None else mark.line + 1, "", error.problem or "is no YAML"))
            return None
        except (OSError, UnicodeDecodeError, YAMLError, ValueError) as error:
            self._problems.append(Problem(self._relative(path), 1, "", f"cannot be read: {error}"))
            return None
        if found is None:
            found = CommentedMap()
        if not isinstance(found, _MAP):
            self._problems.append(Problem(self._relative(path), 1, "", "holds no settings: write field: value"))
            return None
        return Entry(path, found)

    def _resolved(self, entry: Entry, value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {f"{name}": self._resolved(entry, item, (*place, f"{name}")) for name, item in cast("Json", value).items()}
        if isinstance(value, list):
            return [self._resolved(entry, item, (*place, index)) for index, item in enumerate(cast("list[object]", value))]
        return self._text(entry, value, place) if isinstance(value, str) else _plain(value)

    def _text(self, entry: Entry, text: str, place: Place, *, inner: bool = False) -> Any:
        try:
            found = list(tokens(text))
        except ValueError as error:
            self._fault(entry, place, f"{error}")
            return f"{text}"
        if not found:
            return f"{text}"

        def value(token: Token) -> Any:
            if token.kind == "file":
                return (
                    self._file(entry, token.name, place)
                    if not inner
                    else self._fault(entry, place, "a text does not refer to another file")
                )
            if token.kind == "vars":
                if token.name not in self._variables:
                    return self._fault(entry, place, f"the environment {self._name} has no variable {token.name}")
                known = self._variables[token.name]
                return escape(known) if isinstance(known, str) else known
            return None

        result = expand(text, value)
        return f"{result}" if isinstance(result, str) else result

    def _file(self, entry: Entry, name: str, place: Place) -> Any:
        path = (entry.path.parent / name).resolve()
        if not path.is_relative_to(self._root.resolve()):
            return self._fault(entry, place, f"{name} is outside the folder")
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return self._fault(entry, place, f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")
        return self._text(entry, text.removesuffix("\n"), place, inner=True)

    def _fault(self, entry: Entry, place: Place, message: str) -> None:
        self._problems.append(Problem(self._relative(entry.path), _line(entry.raw, place), dotted(place), message))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


class _Writer:
    """Brings what stands in a file to other settings."""

    def __init__(self, folder: Folder, entry: Entry) -> None:
        self._folder = folder
        self._entry = entry

    def updated(self, raw: Any, before: Any, after: Any, place: tuple[str, ...]) -> Any:
        """What is to stand there.

        :param before: what `raw` means now.
        """
        if type(before) is type(after) and before == after:
            return raw
        if isinstance(raw, _MAP) and isinstance(before, dict) and isinstance(after, dict):
            old, new = cast("Json", before), cast("Json", after)
            for name in [name for name in old if name not in new and name in raw]:
                del raw[name]
            for name, item in new.items():
                raw[_key(name)] = self.updated(raw.get(name), old.get(name), item, (*place, name))
            return raw
        if isinstance(raw, _SEQ) and isinstance(before, list) and isinstance(after, list):
            return self._items(raw, cast("list[object]", before), cast("list[object]", after), place)
        if isinstance(raw, str) and isinstance(after, str):
            found = [token for token in tokens(raw) if token.kind == "file"]
            if found:
                self._put(self._entry.path.parent / found[0].name, after)
                return raw
        return self._fresh(after, place)

    def _items(self, raw: Any, before: list[object], after: list[object], place: tuple[str, ...]) -> Any:
        found = paired(after, before)
        items = [
            self.updated(None if at is None else raw[at], None if at is None else before[at], item, (*place, key_of(item) or f"{index}"))
            for index, (item, at) in enumerate(zip(after, found, strict=True))
        ]
        if found[: len(before)] == [*range(len(before))][: len(after)]:
            for index, item in enumerate(items):
                if index < len(raw):
                    raw[index] = item
                else:
                    raw.append(item)
            del raw[len(items) :]
            return raw
        return CommentedSeq(items)

    def _fresh(self, value: Any, place: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return CommentedMap({_key(name): self._fresh(item, (*place, name)) for name, item in cast("Json", value).items()})
        if isinstance(value, list):
            items = cast("list[object]", value)
            return CommentedSeq([self._fresh(item, (*place, key_of(item) or f"{index}")) for index, item in enumerate(items)])
        if not isinstance(value, str):
            return value
        if len(value) > _LONG or value.count("\n") >= _LINES:
            return self._beside(value, place)
        if value.splitlines() != [value]:  # a string of no style of its own gets that of the one before
            block = _BREAKS.isdisjoint(value) and value.strip("\n") == value.strip() != ""
            return LiteralScalarString(value) if block else DoubleQuotedScalarString(value)
        return value

    def _beside(self, text: str, place: tuple[str, ...]) -> str:
        stem = ".".join(re.sub(r"[^\w-]+", "-", part) for part in place)[:100]
        suffix = ".js" if place[-1] == "code" else ".md"
        name, count = f"{self._entry.path.stem}/{stem}{suffix}", 1
        while (self._entry.path.parent / name).exists():
            count += 1
            name = f"{self._entry.path.stem}/{stem}-{count}{suffix}"
        self._put(self._entry.path.parent / name, text)
        return f"${{{{ file {PurePosixPath(name)} }}}}"

    @staticmethod
    def _put(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{text}\n".encode())


def _key(name: str) -> str:
    return name if name.splitlines() == [name] else DoubleQuotedScalarString(name)


def _keys(fields: Json) -> Iterator[Fault]:
    """Keys that stand in a file where a reference belongs."""
    for place, text in _texts(fields, ()):
        if secrets_in(place, text):
            yield Fault(place, "holds a key: set it in the environment, and write ${{ env.NAME }} in its place")


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, dict):
        for name, item in cast("Json", value).items():
            yield from _texts(item, (*place, name))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _texts(item, (*place, index))
    elif isinstance(value, str):
        yield place, value


def _place_of(fields: Json, text: str) -> Place:
    return next(place for place, found in _texts(fields, ()) if found == text)


def _line(raw: Any, place: Place) -> int:
    """The line of the innermost part of a place that stands in a file."""
    line = 1
    for part in place:
        try:
            line = (raw.lc.key(part) if isinstance(raw, _MAP) else raw.lc.item(part))[0] + 1
            raw = raw[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"{name}": _plain(item) for name, item in cast("Json", value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, date):
        return value.isoformat()
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain(value)
    return value


def _parsed(text: str) -> Any:
    return cast("Any", _yaml()).load(text)


_parsed_once = lru_cache(maxsize=2_000)(_parsed)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dump(entry: Entry) -> None:
    entry.path.parent.mkdir(parents=True, exist_ok=True)
    with entry.path.open("w", encoding="utf-8", newline="\n") as file:
        cast("Any", _yaml()).dump(entry.raw, file)
