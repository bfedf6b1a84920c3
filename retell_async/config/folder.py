"""The folder of files: YAML, with long texts beside as Markdown. Reads it, and writes it so that comments and order stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import date
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import Any, cast

import attrs

from .._core.errors import ConfigurationError
from .bodies import SOURCES, Upload, upload_path
from .document import Fault, Path as Place, faults_of
from .kinds import FOLDERS, VOICES, Json, is_name, key_of, kind_of, natural, references
from .state import digest, replace_file
from .values import Token, expand, is_of_profile, paired, pieces, rewritten, secrets_in, tokens

try:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString
except ModuleNotFoundError as error:  # pragma: no cover - tried in a process of its own
    raise ModuleNotFoundError("agents as files need the extra config: `pip install 'retell-async[config]'`", name=error.name) from None

__all__ = ["ENVIRONMENTS", "Entry", "Environment", "Folder", "Problem", "Written", "read_folder"]

ENVIRONMENTS = "environments"
_ENDINGS = (".yaml", ".yml")
_TEXT = "utf-8-sig"
"""How texts beside are read: the mark that some editors put before the first sign is no part of a prompt."""
_PLAIN = (bool, int, float, str)
_READ = (*FOLDERS, ENVIRONMENTS)
# ruamel.yaml says of no value what it is.
_MAP: type[Any] = CommentedMap
_SEQ: type[Any] = CommentedSeq
_MOST = 500_000
"""As many values may stand in a file, those counted again that anchors repeat."""
_LONG = 300
_LINES = 5
_FILES = SOURCES["document"]
_BREAKS = frozenset("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
_MERGE = re.compile(r"^<{7} .*^={7}$.*^>{7} ", re.MULTILINE | re.DOTALL)


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
    layers: list[tuple[Entry, Json]] = attrs.field(factory=list[tuple["Entry", Json]])
    """The files that the settings are taken from, and what each says: later ones count."""


@attrs.frozen
class Written:
    """What `Folder.write` did.

    :param changed: whether a file was changed.
    :param refused: settings that stay as they are in the files, with why.
    :param plain: settings that stood for something else by a reference or an anchor, and are now written in full.
    """

    changed: bool
    refused: Mapping[str, str] = attrs.field(factory=dict[str, str])
    plain: Collection[str] = ()


class _StaysError(Exception):
    """A setting cannot be written where it stands."""


@attrs.define(eq=False)
class Folder:
    """All files of a folder, for one environment."""

    root: Path
    environment: Environment
    entries: dict[str, Entry]
    problems: list[Problem]
    over: Entry | None = None
    """The file of the environment."""
    unread: list[str] = attrs.field(factory=list[str])
    """Files that look like settings, and stand where none are read."""
    uploads: Mapping[str, Mapping[str, Upload]] = attrs.field(factory=dict[str, "Mapping[str, Upload]"])
    """By knowledge base, those of its files that stand in the folder."""
    contents: dict[Path, bytes] = attrs.field(factory=dict[Path, bytes])
    """What was read: a file that is another by now is not written."""

    @property
    def wanted(self) -> dict[str, Json]:
        """The settings of all objects, by their names."""
        wanted = {name: entry.fields for name, entry in self.entries.items()}
        for name, there in self.uploads.items():
            if there and _FILES in wanted[name]:
                wanted[name] = wanted[name] | {_FILES: [there.get(f"{file}", file) for file in wanted[name][_FILES]]}
        return wanted

    def check(self, known: Mapping[str, Iterable[str | int]] | None = None) -> None:
        """Compare all with the pinned document, and look for keys.

        :param known: by name, fields that the document does not have and the account does.
        :raises ConfigurationError: something is wrong; it names each file, line and field.
        """
        problems = list(self.problems)
        for name, entry in self.entries.items():
            for fault in faults_of(kind_of(name), {field: value for field, value in entry.fields.items() if value is not None}):
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

    def write(self, name: str, fields: Json, *, whole: bool = False) -> Written:
        """Bring a file to these settings; what is the same already stays as it stands there, and a file to which it all applies untouched.

        What would be written is read as the files would be then, and written only if this object means the settings and all others what
        they meant before. References and anchors stay, and what cannot be written with them is refused.

        :param whole: whether such settings are written in full, without their references.
        :raises ConfigurationError: somebody saved the file since it was read.
        """
        entry = self.entries.get(name)
        if entry is None:
            entry = self.entries[name] = Entry(self.root / f"{name}.yaml", CommentedMap())
            self._commit(self._staged(name, entry, fields, fields))
            entry.fields = dict(fields)
            return Written(True)
        changed = [field for field in {**entry.fields, **fields} if not _same(entry.fields.get(field), fields.get(field))]
        if not changed:
            return Written(False)
        if self._tried(name, entry, changed, fields) is None:
            return Written(True)
        refused: dict[str, str] = {}
        plain: list[str] = []
        for field in changed:
            why = self._tried(name, entry, [field], fields)
            if why is not None and whole and self._tried(name, entry, [field], fields, whole=True) is None:
                plain.append(field)
            elif why is not None:
                refused[field] = why
        return Written(len(refused) < len(changed), refused, plain)

    def _tried(self, name: str, entry: Entry, chosen: Collection[str], fields: Json, *, whole: bool = False) -> str | None:
        """Write some settings, if that changes nothing else; or else say why not."""
        staged: dict[Path, bytes] = {}
        wanted = {field: (fields if field in chosen else entry.fields).get(field) for field in {**entry.fields, **fields}}
        try:
            staged |= self._staged(name, entry, chosen, fields, whole=whole)
            why = self._other_meaning(name, wanted, staged)
        except _StaysError as error:
            why = f"{error}"
        if why is not None:
            for one in (entry, self.over):
                if one is not None:
                    one.raw = _parsed(_text_of(self.contents[one.path.resolve()])) or CommentedMap()
            return why
        self._commit(staged)
        for field in chosen:
            holder = entry.origin.get(field, entry)
            said = self.environment.values[name] if holder is self.over else entry.resolved
            said[field] = fields.get(field)
            entry.origin[field] = holder if holder is self.over else entry
        entry.fields = {field: value for field, value in wanted.items() if value is not None}
        return None

    def _staged(self, name: str, entry: Entry, chosen: Iterable[str], fields: Json, *, whole: bool = False) -> dict[Path, bytes]:
        """What files would hold, with some settings brought to others."""
        staged: dict[Path, bytes] = {}
        said: dict[Entry, None] = {}
        for field in chosen:
            holder = entry.origin.get(field, entry)
            inside = self.over is not None and holder is self.over
            target: Any = self.over.raw["values"][name] if self.over is not None and inside else entry.raw
            if field in fields:
                before = (self.environment.values[name] if inside else holder.resolved).get(field)
                raw = target.get(field) if inside or holder is entry else deepcopy(holder.raw.get(field))
                writer = _Writer(self, holder, holder if inside else entry, name if inside else "", staged)
                target[field] = writer.fresh(fields[field], (field,)) if whole else writer.updated(raw, before, fields[field], (field,))
            elif _is_below(entry, holder, field) or field not in target:
                target[field] = None  # another file has it, which this one does not follow there
            else:
                del target[field]
            said[self.over if self.over is not None and inside else entry] = None
        for one in said or {entry: None}:  # an object may have no settings
            staged[one.path] = _dumped(one.raw, self.contents.get(one.path.resolve()))
        return staged

    def _commit(self, staged: Mapping[Path, bytes]) -> None:
        """Write files, if they are what they were when they were read."""
        there = {path: path.read_bytes() if path.exists() else None for path in staged}
        for path, content in there.items():
            if content != self.contents.get(path.resolve()):
                raise ConfigurationError(f"{path} was saved by somebody else since it was read, and is left as it is: run this again")
        for path, content in staged.items():
            if content != there[path]:
                replace_file(path, content)
                self.contents[path.resolve()] = content

    def _other_meaning(self, name: str, wanted: Json, staged: Mapping[Path, bytes]) -> str | None:
        """What files would mean otherwise than they should; in other environments too, where a text is changed that they may have."""
        others = (path.stem for path in (self.root / ENVIRONMENTS).glob("*.yaml")) if any(path.suffix != ".yaml" for path in staged) else ()
        for environment in dict.fromkeys((self.environment.name, *others)):
            own = environment == self.environment.name
            after = _Reader(self.root, environment, _parsed_once, staged).read()
            if own and after.problems:
                return f"{after.problems[0]}"
            before = self.wanted if own else _Reader(self.root, environment, _parsed_once).read().wanted
            for other, fields in before.items():
                if other != name and not _same(after.wanted.get(other), fields):
                    return f"{other} takes it from there too"
            if own and not _same(after.wanted.get(name), wanted):
                return "what stands there is part of something else: an anchor, or what another file says"
        return None

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
    def __init__(self, root: Path, environment: str, parse: Callable[[str], Any], staged: Mapping[Path, bytes] | None = None) -> None:
        self._staged = {path.resolve(): content for path, content in (staged or {}).items()}
        self._root = root
        self._name = environment
        self._parse = parse
        self._problems: list[Problem] = []
        self._variables: Mapping[str, Any] = {}
        self._contents: dict[Path, bytes] = {}

    def read(self) -> Folder:
        over = self._load(self._root / ENVIRONMENTS / f"{self._name}.yaml")
        environment = Environment(self._name) if over is None else self._environment(over)
        self._variables = environment.variables
        unread = self._unread()
        loaded: dict[str, Entry] = {}
        for kind in FOLDERS:
            for path in self._files(kind):
                entry = self._load(path)
                if entry is not None:
                    loaded[f"{kind}/{path.stem}"] = entry
        for name, entry in loaded.items():
            entry.resolved = self._resolved(entry, entry.raw, ())
            if not is_name(name):
                self._fault(entry, (), "a file is named by letters, digits, - and _")
        values: dict[str, Json] = {}
        for name, found in environment.values.items():
            if over is not None and name not in loaded:
                self._fault(over, ("values", name), "there is no such file")
            elif over is not None:
                values[name] = self._resolved(over, found, ("values", name))
        for name, entry in loaded.items():
            entry.layers = [*self._family(name, loaded), *([] if over is None else [(over, values.get(name, {}))])]
            for holder, fields in entry.layers:
                entry.fields |= fields
                entry.origin |= dict.fromkeys(fields, holder)
        entries = {name: entry for name, entry in loaded.items() if not name.partition("/")[2].startswith("_")}
        uploads = {name: self._uploads(name, entry.fields.get(_FILES)) for name, entry in entries.items() if _FILES in entry.fields}
        return Folder(self._root, attrs.evolve(environment, values=values), entries, self._problems, over, unread, uploads, self._contents)

    def _uploads(self, name: str, files: object) -> dict[str, Upload]:
        names = [file for file in cast("list[object]", files) if isinstance(file, str)] if isinstance(files, list) else []
        return {file: Upload(file, path) for file in names if (path := upload_path(self._root, name, file)) is not None}

    def _unread(self) -> list[str]:
        """Files that look like settings and are in no folder of ours; it is wrong where what is meant can be told."""
        found: list[str] = []
        for path in sorted(path for pattern in ("*", "*/*") for path in self._root.glob(pattern) if path.suffix.lower() in _ENDINGS):
            folder = "" if path.parent == self._root else path.parent.name
            if folder in _READ and path.suffix not in _ENDINGS:
                self._problems.append(Problem(self._relative(path), 1, "", f"is not read: write its ending {path.suffix.lower()}"))
            elif folder not in _READ and (near := get_close_matches(folder, _READ, 1)):
                self._problems.append(Problem(self._relative(path), 1, "", f"is not read: is its folder {near[0]}?"))
            elif folder not in _READ and not folder.startswith("."):
                found.append(self._relative(path))
        return found

    def _files(self, kind: str) -> list[Path]:
        """The files of a kind, each name once."""
        found: dict[str, Path] = {}
        folder = self._root / kind
        for path in sorted((path for path in folder.glob("*") if path.suffix in _ENDINGS), key=lambda path: natural(path.name)):
            if path.stem in found:
                self._problems.append(Problem(self._relative(path), 1, "", f"{self._relative(found[path.stem])} has the same name"))
            found.setdefault(path.stem, path)
        if kind != "knowledge_bases":  # in their folders are files to be uploaded
            for path in folder.glob("*/**/*"):
                if path.suffix in _ENDINGS:
                    self._problems.append(Problem(self._relative(path), 1, "", f"is not read: settings stand in {kind}/ itself"))
        return [*found.values()]

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
        profile = said.get("profile")
        if "profile" in said and not (profile and isinstance(profile, str)):
            self._fault(over, ("profile",), "is no text that names a profile: write one, or take the line away")
        for field in ("variables", "values"):
            if not isinstance(said.get(field) or {}, dict):
                self._fault(over, (field,), "is no mapping")
                said[field] = {}
        for fault in _keys({"variables": said.get("variables") or {}}):
            self._fault(over, fault.path, fault.message)
        for place, text in _texts(said.get("variables") or {}, ("variables",)):
            if any(token.kind != "env" for token in self._tokens(over, text, place)):
                self._fault(over, place, "a variable refers to nothing but ${{ env.NAME }}")
        values: Json = said.get("values") or {}
        for name in [name for name, fields in values.items() if not isinstance(fields, dict)]:
            self._fault(over, ("values", name), "is no mapping")
            del values[name]
        return Environment(self._name, profile, said.get("variables") or {}, values)

    def _load(self, path: Path) -> Entry | None:
        try:
            found = self._parse(_text_of(self._bytes(path)))
        except FileNotFoundError:
            if path.is_symlink():
                self._problems.append(Problem(self._relative(path), 1, "", "is a link to what is not there"))
            return None
        except MarkedYAMLError as marked:
            error: Any = marked
            mark = error.problem_mark or error.context_mark
            self._problems.append(Problem(self._relative(path), 1 if mark is None else mark.line + 1, "", error.problem or "is no YAML"))
            return None
        except (OSError, YAMLError, ValueError) as error:
            line = error.object[: error.start].count(b"\n") + 1 if isinstance(error, UnicodeDecodeError) else 1
            self._problems.append(Problem(self._relative(path), line, "", f"cannot be read: {error}"))
            return None
        if found is None and path.parent.name == ENVIRONMENTS:
            found = CommentedMap()
        if not isinstance(found, _MAP):
            self._problems.append(Problem(self._relative(path), 1, "", "holds no settings: write field: value, or {} for none"))
            return None
        entry = Entry(path, found)
        for count, (place, value) in enumerate(_values(found)):
            if count == _MOST:
                self._fault(entry, (), f"says more than {_MOST:,} values, for its anchors hold each other: write them out")
                return None
            if (tag := getattr(getattr(value, "tag", None), "value", None)) is not None:
                self._fault(entry, place, f"a tag ({tag}) is no value: write the value without it, a text in quotation marks")
            elif not isinstance(value, (*_PLAIN, dict, list, date, type(None))):
                self._fault(
                    entry, place, f"is no value of JSON, but of the kind {type(value).__name__}: write it as text, a list or field: value"
                )
        return entry

    def _resolved(self, entry: Entry, value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {f"{name}": self._resolved(entry, item, (*place, f"{name}")) for name, item in cast("Json", value).items()}
        if isinstance(value, list):
            return [self._resolved(entry, item, (*place, index)) for index, item in enumerate(cast("list[object]", value))]
        return self._text(entry, value, place) if isinstance(value, str) else _plain(value)

    def _text(self, entry: Entry, text: str, place: Place, *, inner: bool = False) -> Any:
        if not self._tokens(entry, text, place):
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
                if self._variables[token.name] is None:
                    where = f"{ENVIRONMENTS}/{self._name}.yaml"
                    return self._fault(entry, place, f'the variable {token.name} is empty in {where}: write "" if that is meant')
                return self._variables[token.name]
            return None

        try:
            result = expand(text, value)
        except TypeError as error:
            return self._fault(entry, place, f"{error}")
        return f"{result}" if isinstance(result, str) else result

    def _tokens(self, entry: Entry, text: str, place: Place) -> list[Token]:
        """The references in a text; none where one is wrong."""
        try:
            found = list(tokens(text))
        except ValueError as error:
            self._fault(entry, place, f"{error}")
            return []
        for token in filter(is_of_profile, found):
            self._fault(
                entry,
                place,
                f"{token.name} is the key of a profile, which opens an account and belongs into no agent: "
                "set the key that is meant under another name, and write that",
            )
        return found

    def _file(self, entry: Entry, name: str, place: Place) -> Any:
        path = (entry.path.parent / name).resolve()
        if not path.is_relative_to(self._root.resolve()):
            return self._fault(entry, place, f"{name} is outside the folder")
        try:
            text = self._bytes(path).decode(_TEXT)
        except (OSError, UnicodeDecodeError) as error:
            return self._fault(entry, place, f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")
        if _MERGE.search(text):
            return self._fault(entry, place, f"{name} holds both sides of a merge in git: settle it first")
        return self._text(entry, text.removesuffix("\n"), place, inner=True)

    def _bytes(self, path: Path) -> bytes:
        found = self._staged.get(path.resolve()) if self._staged else None
        if found is None and path.exists() and not path.is_file():
            raise OSError("it is no file")  # a pipe would be waited for without end
        if found is None:
            found = self._contents[path.resolve()] = path.read_bytes()
        return found

    def _fault(self, entry: Entry, place: Place, message: str) -> None:
        self._problems.append(Problem(self._relative(entry.path), _line(entry.raw, place), dotted(place), message))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


class _Writer:
    """Brings what stands in a file to other settings.

    :param holder: the file in which they stand now.
    :param target: the file in which they will stand: another one than the family's, from which its texts are not shared then.
    :param prefix: what the names of texts beside begin with.
    :param staged: gets what is to be written.
    """

    def __init__(self, folder: Folder, holder: Entry, target: Entry, prefix: str, staged: dict[Path, bytes]) -> None:
        self._variables = folder.environment.variables
        self._holder = holder
        self._target = target
        self._prefix = prefix
        self._staged = staged

    def updated(self, raw: Any, before: Any, after: Any, place: tuple[str, ...]) -> Any:
        """What is to stand there.

        :param before: what `raw` means now.
        :raises _StaysError: a reference would be lost.
        """
        if type(before) is type(after) and before == after and self._holder is self._target:
            return raw
        if isinstance(raw, _MAP) and isinstance(before, dict) and isinstance(after, dict):
            old, new = cast("Json", before), cast("Json", after)
            keys = {f"{key}": key for key in raw}  # YAML reads some as numbers
            for name in [name for name in old if name not in new and name in keys]:
                try:
                    del raw[keys[name]]
                except KeyError:
                    raise _StaysError("it is taken from an anchor") from None
            for name, item in new.items():
                key = keys.get(name, _key(name))
                raw[key] = self.updated(raw.get(key), old.get(name), item, (*place, name))
            return raw
        if isinstance(raw, _SEQ) and isinstance(before, list) and isinstance(after, list):
            return self._items(raw, cast("list[object]", before), cast("list[object]", after), place)
        if isinstance(raw, str) and any(token.kind != "env" for token in tokens(raw)):
            return self._referring(raw, after, place)
        return self.fresh(after, place)

    def _referring(self, raw: str, after: Any, place: tuple[str, ...]) -> Any:
        """A text with references, so that it stands for another one."""
        if isinstance(after, str) and self._holder is not self._target:
            inlined = "".join(
                self._read(token) if token and token.kind == "file" else text for text, _, token in pieces(raw, lambda _: None)
            )
            if (found := rewritten(inlined, self._variable, after)) is not None:
                return self.fresh(found, place)
        elif isinstance(after, str):
            parts = [part for part in pieces(raw, self._meaning) if part[0]]
            if len(parts) > 1 and (found := rewritten(raw, self._meaning, after)) is not None:
                return _styled(found)
            for index, (_, _, token) in enumerate(parts):
                first, last = ("".join(text for _, text, _ in some) for some in (parts[:index], parts[index + 1 :]))
                if token and token.kind == "file" and len(first) + len(last) <= len(after) and after.startswith(first):
                    found = rewritten(self._read(token), self._variable, after[len(first) : len(after) - len(last)])
                    if found is not None and after.endswith(last):
                        self._put(self._path(token), found)
                        return raw
        elif all(token.kind == "file" for token in tokens(raw)):
            return self.fresh(after, place)
        raise _StaysError("it refers to what was changed")

    def _variable(self, token: Token) -> str | None:
        return f"{self._variables[token.name]}" if token.kind == "vars" and token.name in self._variables else None

    def _meaning(self, token: Token) -> str | None:
        if token.kind == "file":
            return "".join(shown for _, shown, _ in pieces(self._read(token), self._variable))
        return self._variable(token)

    def _path(self, token: Token) -> Path:
        return (self._holder.path.parent / token.name).resolve()

    def _read(self, token: Token) -> str:
        path = self._path(token)
        return (self._staged.get(path) or path.read_bytes()).decode(_TEXT).removesuffix("\n")

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

    def fresh(self, value: Any, place: tuple[str, ...]) -> Any:
        """A value as it is written where nothing stood."""
        if isinstance(value, dict):
            return CommentedMap({_key(name): self.fresh(item, (*place, name)) for name, item in cast("Json", value).items()})
        if isinstance(value, list):
            items = cast("list[object]", value)
            return CommentedSeq([self.fresh(item, (*place, key_of(item) or f"{index}")) for index, item in enumerate(items)])
        if not isinstance(value, str):
            return value
        if len(value) > _LONG or value.count("\n") >= _LINES:
            return self._beside(value, place)
        return _styled(value)

    def _beside(self, text: str, place: tuple[str, ...]) -> str:
        stem = ".".join(re.sub(r"[^\w-]+", "-", part) for part in (self._prefix, *place) if part)
        stem = stem.encode()[:100].decode(errors="ignore")  # file systems count bytes
        suffix = ".js" if place[-1] == "code" else ".md"
        folder, own = self._target.path.parent, self._target.path.stem
        name, count = f"{own}/{stem}{suffix}", 1
        while (folder / name).exists() or (folder / name).resolve() in self._staged:
            count += 1
            name = f"{own}/{stem}-{count}{suffix}"
        self._put((folder / name).resolve(), text)
        return f"${{{{ file {PurePosixPath(name)} }}}}"

    def _put(self, path: Path, text: str) -> None:
        self._staged[path] = f"{text}\n".encode(_TEXT if text.startswith("\ufeff") else "utf-8")  # its own one, behind that of editors


def _styled(text: str) -> str:
    if text.splitlines() == [text]:
        return text
    block = _BREAKS.isdisjoint(text) and text.strip("\n") == text.strip() != ""
    made: str = LiteralScalarString(text) if block else DoubleQuotedScalarString(text)
    return made  # a string of no style of its own would get that of the one before


def _same(one: Any, other: Any) -> bool:
    """Whether two settings, or the settings of two objects, mean the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        found, known = cast("Json", one), cast("Json", other)
        return all(digest(found.get(name)) == digest(known.get(name)) for name in {**found, **known})
    return digest(one) == digest(other)


def _is_below(entry: Entry, holder: Entry, field: str) -> bool:
    """Whether a setting shows from another file once this one says nothing of it."""
    below = entry.layers[: next((index for index, (one, _) in enumerate(entry.layers) if one is holder), 0)]
    return any(fields.get(field) is not None for _, fields in below)


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
    return next((plain(value) for plain in _PLAIN if isinstance(value, plain)), None)


def _values(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """All that stands in a file, names of fields too; without end where an anchor holds itself."""
    waiting: list[tuple[Place, Any]] = [(place, value)]
    while waiting:
        place, value = waiting.pop()
        yield place, value
        if isinstance(value, dict):
            for name, item in cast("dict[object, object]", value).items():
                waiting += [((*place, cast("Any", name)), item), *([] if isinstance(name, str) else [(place, name)])]
        elif isinstance(value, list):
            waiting += [((*place, index), item) for index, item in enumerate(cast("list[object]", value))]


def _parsed(text: str) -> Any:
    return cast("Any", _yaml()).load(text)


_parsed_once = lru_cache(maxsize=2_000)(_parsed)


def _text_of(content: bytes) -> str:
    """What a file of YAML says, with the line ends of this package."""
    return TextIOWrapper(BytesIO(content), encoding="utf-8").read()


def _dumped(raw: Any, before: bytes | None) -> bytes:
    """A file that says this, and every other line of which is as it was before."""
    said = "{}\n" if before is None else _text_of(before)
    indents = _indents(parsed := _parsed(said))
    text = _written(raw, indents)
    merged = _merged(said if said.endswith("\n") else f"{said}\n", _written(parsed, indents), text)
    try:
        same = _same(_plain(_parsed(merged)), _plain(raw))
    except YAMLError:
        same = False  # parts of both, indented each in its own way
    text = merged if same else text
    return (text.replace("\n", "\r\n") if before is not None and b"\r\n" in before else text).encode()


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    return yaml


def _written(raw: Any, indents: Mapping[str, int]) -> str:
    yaml, text = cast("Any", _yaml()), StringIO()
    yaml.indent(**indents)
    yaml.dump(raw, text)
    return text.getvalue()


def _indents(raw: Any) -> dict[str, int]:
    """How a file indents what is in fields, as ruamel.yaml is told it."""
    found: dict[str, int] = {}
    for _, value in _values(raw):
        for key, item in value.items() if isinstance(value, _MAP) else ():
            if isinstance(item, (_MAP, _SEQ)) and item and not item.fa.flow_style():
                found.setdefault("offset" if isinstance(item, _SEQ) else "mapping", item.lc.col - value.lc.key(key)[1])
    offset = found.get("offset", 2)
    return {"mapping": found.get("mapping", 2), "sequence": offset + 2, "offset": offset}


def _merged(said: str, plain: str, text: str) -> str:
    """A text as ruamel.yaml writes it, with its lines as they stood before where nothing was changed.

    :param said: what stood there, as people wrote it.
    :param plain: the same, as ruamel.yaml writes it.
    """
    ours, lines, after = (one.splitlines(keepends=True) for one in (said, plain, text))
    new: list[list[str]] = [[] for _ in range(len(lines) + 1)]  # by line of `plain`, what comes before it, or in its place
    stays = [False] * (len(lines) + 1)
    for what, first, last, begin, end in SequenceMatcher(None, lines, after).get_opcodes():
        if what == "equal":
            stays[first:last] = [True] * (last - first)
        else:
            new[first] = after[begin:end]
    found: list[str] = []
    for _, first, last, begin, end in SequenceMatcher(None, lines, ours).get_opcodes():
        singly = last - first == end - begin
        for at, to in zip(range(first, last), range(first + 1, last + 1), strict=True) if singly else [(first, last)]:
            mine = ours[begin + at - first : begin + to - first] if singly else ours[begin:end]
            if at == to:  # ruamel.yaml leaves it out
                found += new.pop() if at == len(lines) else []  # `...` stays behind what is added
                found += mine if at in {0, len(lines)} or stays[at - 1] or stays[at] else []
            elif all(stays[at:to]) and not any(new[at + 1 : to]):
                found += new[at] + mine
            else:
                found += [line for index in range(at, to) for line in new[index] + lines[index : index + stays[index]]]
    return "".join(found + [line for some in new[len(lines) :] for line in some])
