"""To another revision of the document, all or nothing: ``python -m codegen update [SPEC]``.

Everything is made and checked in a folder of its own and then put in its place, so that a refusal at any step leaves the tree as it was.
Checked is that the document is valid OpenAPI, that all of it can be expressed, and that all that was generated can be imported and has no
error of types. Whether the code that was written by hand gets on with it is left to ``make check`` and the tests.

Updates touch `openapi/openapi.yaml`, `openapi/pin.toml`, `CHANGELOG.md` and the generated folders; words, notes and the overlay stay as
they are, whether the revision has what they speak of or not. Going back to a revision that was pinned since the last release restores these
files byte for byte.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import httpx
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from openapi_spec_validator.schemas import schema_v30, schema_v31

from ..canonical import canonical
from ..document import Json, Refused, at, dump, load, load_file, pointer
from ..generate import GENERATED, ROOT, Report, generate_pinned, pinned
from . import changelog, pin, report
from .diff import Change, Revision, difference

REPLACED = ("openapi/openapi.yaml", "openapi/pin.toml", "CHANGELOG.md", *(f"retell_async/{part}" for part in GENERATED))
"""What an update replaces, relative to the root of the project."""

_TYPES = (
    sys.executable,
    "-m",
    "mypy",
    "--strict",
    "--enable-error-code=deprecated",
    "--follow-imports=silent",
    "--config-file=",
    "--cache-dir=.types",
)

_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@%/-]|{[\w.~$-]+})*")
"""What may stand in the path of a URL (RFC 3986), and places for parameters."""

_CHANGES_IN_CHANGELOG = 20
"""So many changes of each kind are written out there."""

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


def update(spec: str | None = None, *, root: Path = ROOT, write: bool = True) -> Update:
    """Pin a document and generate from it.

    :param spec: a path or a URL; without it the source that is named in `openapi/pin.toml`.
    :param write: whether to put what was made in its place.
    :raises Refused: the document cannot be had, is not valid, or cannot be expressed; then nothing has changed.
    """
    pins = pin.load(root / "openapi" / "pin.toml")
    fetched, source = fetch(spec or pins.now.source, pins.now.source)
    document = parse(fetched, spec or pins.now.source)
    facts = canonical(document)
    text = dump(facts)
    new = pin.Pin.of(facts, source, fetched, text, datetime.now(UTC).date())
    nothing_new = new.pinned == pins.now.pinned and (new.fetched == pins.now.fetched or fetched.decode() == text)
    if nothing_new:
        return Update(pins.now.revision, pins.now.revision, [], None)
    with tempfile.TemporaryDirectory(prefix=".spec-update-", dir=root) as folder:
        made = Path(folder) / "new"
        shutil.copytree(root / "openapi", made / "openapi")
        shutil.copytree(root / "retell_async", made / "retell_async", ignore=shutil.ignore_patterns("__pycache__", *GENERATED))
        (made / "openapi" / "openapi.yaml").write_text(text, encoding="utf-8")
        whole = pinned(made / "openapi", facts)
        changes = _changes(pinned(root / "openapi"), whole, load_file(root / "openapi" / "surface.yaml"))
        moved, undone = pins.moved(new)
        (made / "openapi" / "pin.toml").write_text(pin.dump(moved), encoding="utf-8")
        log = changelog.undone((root / "CHANGELOG.md").read_text(encoding="utf-8"), undone)
        if not undone and new.pinned != pins.now.pinned:
            details = report.markdown(changes, most=_CHANGES_IN_CHANGELOG)
            log = changelog.written(log, moved.now.revision, pins.now.revision, report.summary(changes), details)
        (made / "CHANGELOG.md").write_text(log, encoding="utf-8")
        generated = generate_pinned(made / "retell_async", made / "openapi", whole)
        try_out(made)
        if write:
            swap(made, root, Path(folder) / "old")
    return Update(moved.now.revision, pins.now.revision, changes, generated)


def fetch(spec: str, source: str) -> tuple[bytes, str]:
    """The document's bytes, and the source to name for it: a URL, since a path means nothing elsewhere."""
    if not spec.startswith(("https://", "http://")):
        try:
            return Path(spec).read_bytes(), source
        except OSError as error:
            raise Refused("", f"{spec} cannot be read: {error.strerror}") from error
    try:
        response = httpx.get(spec, follow_redirects=True, timeout=60)
        return response.raise_for_status().content, spec
    except httpx.HTTPStatusError as error:
        raise Refused("", f"{spec} answered {error.response.status_code}: give the document as a file, SPEC=<path>") from error
    except httpx.HTTPError as error:
        raise Refused("", f"{spec} cannot be reached ({error}): without a network give the document as a file, SPEC=<path>") from error


def parse(fetched: bytes, name: str) -> Json:
    """A document, checked to be valid OpenAPI 3.

    :raises Refused: with the place of the first thing that is wrong.
    """
    try:
        document = load(fetched.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise Refused("", f"{name} is not text in UTF-8: {error.reason} at byte {error.start}") from error
    _plain(document)
    version = str(document.get("openapi", ""))
    if (checks := _VERSIONS.get(version[:3])) is None:
        raise Refused("/openapi", f"an OpenAPI 3.0 or 3.1 document is needed, {name} says {version or 'nothing'}")
    _references(document, document)
    for path in document.get("paths") or ():
        if not _PATH.fullmatch(str(path)):
            raise Refused(pointer("paths", path), "is no path: it holds what a URL has to escape, or a parameter with an odd name")
    schema, validator = checks
    wrong = best_match(validator_for(schema)(schema).iter_errors(document)) or next(iter(validator(document).iter_errors()), None)
    if wrong is not None:
        raise Refused(pointer(*wrong.absolute_path), _short(wrong.message))
    return document


def _plain(value: object, where: str = "") -> None:
    """Refuse what JSON has no word for: YAML's own types, numbers without end, halves of characters."""
    match value:
        case dict():
            for key, item in value.items():
                _plain(str(key), where + pointer(str(key)))
                _plain(item, where + pointer(str(key)))
        case list():
            for index, item in enumerate(value):
                _plain(item, where + pointer(index))
        case None | bool() | int():
            pass
        case float() if math.isfinite(value):
            pass
        case str() if value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value):
            pass
        case _:
            raise Refused(where, f"{value!r} is no value of JSON")


def _references(document: Json, value: object, where: str = "") -> None:
    """Refuse references that lead nowhere, here, where their own place is still known."""
    if isinstance(value, dict):
        ref = value.get("$ref")
        if isinstance(ref, str) and not _leads_somewhere(document, ref):
            raise Refused(f"{where}/$ref", f"{ref} is not there")
        for key, item in value.items():
            _references(document, item, where + pointer(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _references(document, item, where + pointer(index))


def _leads_somewhere(document: Json, ref: str) -> bool:
    try:
        return ref.startswith("#/") and at(document, ref.removeprefix("#")) is not None
    except Refused:
        return False


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:300]}..."


def _changes(old: Json, new: Json, surface: Json) -> list[Change]:
    return difference(Revision.of(old, surface), Revision.of(new, surface))


def try_out(root: Path) -> None:
    """Import all that was generated below a root, look at each part once, and check its types.

    :raises Refused: with the last line of what Python says, or the first of what the type checker does.
    """
    done = subprocess.run([sys.executable, "-B", "-c", _TRY], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused("", f"what is generated from it cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    folders = [f"retell_async/{part}" for part in GENERATED]
    done = subprocess.run([*_TYPES, *folders], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused("", f"what is generated from it has an error of types: {(done.stdout or done.stderr).splitlines()[0]}")


def swap(made: Path, root: Path, kept: Path) -> None:
    """Put what was made in place of what is there; if that fails on the way, all is put back."""
    with _put_back(root, kept) as replaced:
        for name in REPLACED:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).rename(kept / name)
            replaced.append(name)
            (made / name).rename(root / name)


@contextmanager
def _put_back(root: Path, kept: Path) -> Iterator[list[str]]:
    replaced: list[str] = []
    try:
        yield replaced
    except BaseException:
        for name in replaced:
            if (root / name).is_dir():
                shutil.rmtree(root / name)
            (kept / name).rename(root / name)
        raise
