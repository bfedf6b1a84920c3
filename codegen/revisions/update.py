"""To another revision of the document, all or nothing: ``python -m codegen update [SPEC]``, as `docs/guides/regenerating.md` says.

Everything is made and checked in a folder of its own and then put in its place, so that a refusal at any step leaves the tree as it was.
Whether the code that was written by hand gets on with it is left to ``make check`` and the tests.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from openapi_spec_validator.schemas import schema_v30, schema_v31

from .. import marks, words
from ..canonical import canonical
from ..document import Json, Refused, all_schemas, at, by_key, dump, load, load_file, pointer, pruned, refuse_rings, roots, values
from ..generate import GENERATED, ROOT, Report, decided, generate_pinned, pinned, without
from . import changelog, pin, report
from .diff import Change, Revision, difference
from .sources import fetch, of_sdk, shown

_KEPT = ("openapi.yaml", "pin.toml", "left_out.yaml", "names.yaml")
REPLACED = (*(f"openapi/{name}" for name in _KEPT), "CHANGELOG.md", *(f"retell_async/{part}" for part in GENERATED))
"""What an update replaces, relative to the root of the project."""

_TYPES = ["-m", "mypy", "--strict", "--enable-error-code=deprecated", "--follow-imports=silent", "--config-file=", "--cache-dir=.types"]

_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@%/-]|{[\w.~$-]+})*")
"""What may stand in the path of a URL (RFC 3986), and places for parameters."""

_DEEPEST = 100  # levels of a document: five times as many as the API's has
_CHANGES_IN_CHANGELOG = 20  # so many of a resource are written out there

_VERSIONS = {"3.0": (dict(schema_v30), OpenAPIV30SpecValidator), "3.1": (dict(schema_v31), OpenAPIV31SpecValidator)}
"""By version: the official schema, which knows the place of a fault best, and what checks the rules that no schema can say."""

_TRY = """
import importlib, pkgutil
from retell_async import raw, resources
from retell_async.raw import models
for package in (raw, resources):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        if operation := getattr(module, "OPERATION", None):
            operation.decode
for name in dir(models):
    getattr(models, name)
client = resources.Resources()
for name in dir(resources.Resources):
    if not name.startswith("_") and name not in ("send", "paginate"):
        getattr(client, name).with_raw_response
"""


@attrs.frozen
class Update:
    """What an update did, or would do."""

    revision: str
    before: str
    changes: list[Change]
    report: Report | None
    """What was generated; ``None`` if there was nothing to do."""
    told: list[str] = attrs.field(factory=list)
    """What in our own files does nothing any more, and what the other source says."""
    left_out: Json = attrs.field(factory=dict)
    """New operations that cannot be expressed, and why."""


def update(spec: str | None = None, *, root: Path = ROOT, write: bool = True) -> Update:
    """Pin a document and generate from it.

    :param spec: a path or a URL; without it the source that is named in `openapi/pin.toml`.
    :param write: whether to put what was made in its place.
    :raises Refused: the document cannot be had, is not valid, or cannot be expressed; then nothing has changed.
    """
    pins = pin.load(root / "openapi" / "pin.toml")
    fetched = fetch(spec or pins.now.source)
    facts = canonical(parse(fetched, shown(spec or pins.now.source)))
    text = dump(facts)
    new = pin.Pin.of(facts, pins.now.source, fetched, text, datetime.now(UTC).date())
    told = [] if spec or not pins.sdk else _other_source(pins.sdk, text)
    if new.pinned == pins.now.pinned and (new.fetched == pins.now.fetched or fetched.decode() == text):
        return Update(pins.now.revision, pins.now.revision, [], None, told)
    with tempfile.TemporaryDirectory(prefix=".spec-update-", dir=root) as folder:
        made = Path(folder) / "new"
        shutil.copytree(root / "openapi", made / "openapi")
        shutil.copytree(root / "retell_async", made / "retell_async", ignore=shutil.ignore_patterns("__pycache__", *GENERATED))
        (made / "openapi" / "openapi.yaml").write_text(text, encoding="utf-8")
        surface = load_file(root / "openapi" / "surface.yaml")
        before = pinned(root / "openapi")
        left = left_out(facts, before, made / "openapi", surface)
        whole = pinned(made / "openapi", facts, told=told, left=left)
        old, now = Revision.of(before, surface), Revision.of(whole, surface)
        if lost := sorted((old.methods - now.methods) & {*surface.get("relied_on", ())}):
            reason = f"code by hand relies on client.{', client.'.join(lost)}: name what stands in for it in openapi/surface.yaml"
            raise Refused("/paths", reason)
        changes = difference(old, now)
        (made / "openapi" / "left_out.yaml").write_text(dump(left), encoding="utf-8")
        moved, undone = pins.moved(new)
        (made / "openapi" / "pin.toml").write_text(pin.dump(moved), encoding="utf-8")
        log = changelog.undone((root / "CHANGELOG.md").read_text(encoding="utf-8"), undone)
        if not undone and new.pinned != pins.now.pinned:
            details = report.markdown(changes, left, most=_CHANGES_IN_CHANGELOG)
            log = changelog.written(log, moved.now.revision, pins.now.revision, report.summary(changes), details)
        (made / "CHANGELOG.md").write_text(log, encoding="utf-8")
        generated = generate_pinned(made / "retell_async", made / "openapi", whole)
        (made / "openapi" / "names.yaml").write_text(dump(generated.names), encoding="utf-8")
        try_out(made)
        if write:
            swap(made, root, Path(folder) / "old")
    return Update(moved.now.revision, pins.now.revision, changes, generated, told, left)


def _other_source(stats: str, text: str) -> list[str]:
    """What to tell if the official SDK was made from another document than this."""
    try:
        other = dump(canonical(parse(of_sdk(stats), shown(stats))))
    except Refused as refused:
        return [f"the document of the official SDK cannot be compared: {refused.reason}"]
    said = f"{shown(stats)} names another document: `python -m tests.peer drift` may find what comes of that alone"
    return [] if other == text else [said]


def left_out(facts: Json, before: Json, openapi: Path, surface: Json) -> Json:
    """New operations that cannot be expressed, by key, with the reasons.

    :raises Refused: it is not for a new one that the document cannot be expressed.
    """
    known = {operation[marks.KNOWN_AS] for operation in by_key(before).values()}
    docs = words.load(openapi / "docs")

    def refusal(left: Json, only: str | None = None) -> Refused | None:
        try:
            document = pinned(openapi, facts, left=left)
            if only is not None:
                document = without(document, by_key(document).keys() - {only})
            decided(document, surface, docs)
        except Refused as refused:
            return refused
        return None

    if refusal({}) is None:
        return {}
    new = [key for key, operation in by_key(pinned(openapi, facts, left={})).items() if operation[marks.KNOWN_AS] not in known]
    left: Json = {key: str(why) for key in new if (why := refusal({}, key)) is not None}
    while (refused := refusal(left)) is not None:
        clashing = next((key for key in new if key not in left and str(refusal(left | {key: ""})) != str(refused)), None)
        if clashing is None:
            raise refused
        left[clashing] = str(refused)
    return left


def parse(fetched: bytes, name: str) -> Json:
    """A document, checked to be valid OpenAPI 3.

    :raises Refused: with the place of the first thing that is wrong.
    """
    try:
        document = load(fetched.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise Refused("", f"{name} is not text in UTF-8: {error.reason} at byte {error.start}") from error
    version = str(document.get("openapi", ""))
    if (checks := _VERSIONS.get(version[:3])) is None:
        raise Refused("/openapi", f"an OpenAPI 3.0 or 3.1 document is needed, {name} says {version or 'nothing'}")
    _readable(document)
    for path in document.get("paths") or ():
        if not _PATH.fullmatch(str(path)):
            raise Refused(pointer("paths", path), "is no path: it holds what a URL has to escape, or a parameter with an odd name")
    schema, validator = checks
    checked = pruned(document, _in_both)
    wrong = best_match(validator_for(schema)(schema).iter_errors(checked))
    if wrong is None:
        refuse_rings(document)
        wrong = next(iter(validator(checked).iter_errors()), None)
    if wrong is not None:
        raise Refused(_placed(document, pointer(*wrong.absolute_path), wrong.instance), f"{wrong.message:.300}")
    return document


def _in_both(key: str, value: Any) -> bool:
    """Not what 3.0 says in one way and 3.1 in another, and documents mix up: it is read in both."""
    return key not in ("exclusiveMinimum", "exclusiveMaximum") or not isinstance(value, bool | int | float)


def _placed(document: Json, where: str, instance: Any) -> str:
    """A place that is told from a schema on, from the document on."""
    if not where:  # of a default it does not say any place
        return next((f"{place}/default" for place, schema in all_schemas(document) if schema.get("default") == instance), "")
    starts = ["", *(start for start, _, _ in roots(document))]
    return next((start + where for start in starts if pruned(at(document, start + where, ...), _in_both) == instance), where)


def _readable(document: Json) -> None:
    """Refuse what JSON has no word for (types of YAML, numbers without end, halves of characters), what is too deep, dead references."""
    for where, value in values(document):
        for place, said in [(where + pointer(key), str(key)) for key in value] if isinstance(value, dict) else [(where, value)]:
            is_text = isinstance(said, str) and (said.isascii() or not any("\ud800" <= char <= "\udfff" for char in said))
            if not (is_text or isinstance(said, list | int | None) or (isinstance(said, float) and math.isfinite(said))):
                raise Refused(place, f"{said!r} is no value of JSON")
        if where.count("/") > _DEEPEST:
            raise Refused(where, "is nested too deep")
        if where.endswith("/$ref") and isinstance(value, str) and (not value.startswith("#/") or at(document, value[1:], None) is None):
            raise Refused(where, f"{value} is not there")


def try_out(root: Path) -> None:
    """Import all that was generated below a root, look at each part once, and check its types.

    :raises Refused: with the last line of what Python says, or the first of what the type checker does.
    """
    for arguments, what, line in (
        (["-B", "-c", _TRY], "cannot be imported", -1),
        ([*_TYPES, *(f"retell_async/{part}" for part in GENERATED)], "has an error of types", 0),
    ):
        done = subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused("", f"what is generated from it {what}: {(done.stdout or done.stderr).strip().splitlines()[line]}")


def swap(made: Path, root: Path, kept: Path) -> None:
    """Put what was made in place of what is there; if that fails on the way, all is put back."""
    with ExitStack() as undo:
        for name in REPLACED:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".yaml"):
                (root / name).touch()
            (root / name).rename(kept / name)
            undo.callback((kept / name).rename, root / name)
            (made / name).rename(root / name)
            undo.callback((root / name).rename, made / name)
        undo.pop_all()
