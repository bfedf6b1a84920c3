"""To another revision of the document, all or nothing: ``python -m codegen update [SPEC]``, as `docs/guides/regenerating.md` says.

Everything is made and checked in a folder of its own and then put in its place, so that a refusal at any step leaves the tree as it was.
Whether the code that was written by hand gets on with it is left to ``make check`` and the tests.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import attrs

from .. import marks, words
from ..canonical import canonical
from ..document import Json, Refused, by_key, dump, load_file, operation_key, parts, pointer
from ..generate import GENERATED, ROOT, contents, decided, generate_pinned, pinned
from ..rendering.views import Views
from ..surface import relied_on
from . import changelog, pin, report
from .checked import parse
from .diff import Change, Revision, difference
from .sources import fetch, of_sdk, shown
from .swap import REPLACED, swap, workshop

_TYPES = ["-m", "mypy", "--strict", "--enable-error-code=deprecated", "--follow-imports=silent", "--config-file=", "--cache-dir=.types"]

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
    made: Views | None
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
    there = contents(root, REPLACED)
    pins = pin.load(root / "openapi" / "pin.toml")
    fetched = fetch(spec or pins.now.source)
    facts = canonical(parse(fetched, shown(spec or pins.now.source)))
    text = dump(facts)
    new = pin.Pin.of(facts, pins.now.source, fetched, text, datetime.now(UTC).date())
    told = [] if spec or not pins.sdk else _other_source(pins.sdk, text)
    missing = load_file(root / "openapi" / "left_out.yaml", there=False)
    if new.pinned == pins.now.pinned and (new.fetched == pins.now.fetched or fetched == text.encode()):
        pinned(root / "openapi", told=told)
        return Update(pins.now.revision, pins.now.revision, [], None, told, missing)
    before, surface = pinned(root / "openapi"), load_file(root / "openapi" / "surface.yaml")
    left = left_out(facts, before, root / "openapi", surface)
    whole = pinned(root / "openapi", facts, told=told, left=left)
    old, now = Revision.of(before, surface), Revision.of(whole, surface)
    if lost := old.lost(now, relied_on(surface)):
        named = ", ".join(f"types.{one}" if one[:1].isupper() else f"client.{one}" for one in lost)
        remedy = "name what stands in for it in openapi/surface.yaml and in the code, or a class by x-name in openapi/overlay.yaml"
        raise Refused("/paths", f"code by hand relies on {named}: {remedy}")
    changes = difference(old, now)
    moved, undone = pins.moved(new)
    log = changelog.undone((root / "CHANGELOG.md").read_text(encoding="utf-8"), undone)
    if not undone and (new.pinned != pins.now.pinned or left != missing):
        details = report.markdown(changes, left, most=20)  # of a resource
        log = changelog.written(log, moved.now.revision, pins.now.revision, report.summary(changes, left), details)
    with workshop(root) as folder:
        made = folder / "new"
        shutil.copytree(root / "openapi", made / "openapi")
        shutil.copytree(root / "retell_async", made / "retell_async", ignore=shutil.ignore_patterns("__pycache__", *GENERATED))
        generated = generate_pinned(made / "retell_async", made / "openapi", whole)
        held = {"openapi/openapi.yaml": text, "openapi/pin.toml": pin.dump(moved), "openapi/left_out.yaml": dump(left), "CHANGELOG.md": log}
        held["openapi/names.yaml"] = dump(generated.prepared[marks.NAMES])
        for name, said in held.items():
            (made / name).write_text(said, encoding="utf-8")
        try_out(made, generated)
        if edited := sorted(name for name, _ in there.items() ^ contents(root, REPLACED).items()):
            raise Refused("", f"{edited[0]} was changed while this update was made: begin anew, SPEC= as before")
        if write:
            swap(made, root, folder / "old")
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
    """New operations that cannot be expressed, by key, with the reasons."""
    known = {operation[marks.KNOWN_AS] for operation in by_key(before).values()}
    docs = words.load(openapi / "docs")
    reasons: Json = {}

    def refusal(left: Iterable[str]) -> Refused | None:
        try:
            decided(pinned(openapi, facts, left={*left}), surface, docs)
        except Refused as refused:
            return refused
        return None

    if refusal([]):
        new = [key for key, operation in by_key(pinned(openapi, facts, left={})).items() if operation[marks.KNOWN_AS] not in known]
        if not_new := refusal(new):
            raise not_new
        while refused := refusal(reasons):
            _, path, method, *_ = (*parts(refused.pointer), "", "", "")
            named = operation_key(method, path)
            if named in new and (alone := refusal(key for key in new if key != named)):
                reasons[named] = str(alone)
                continue
            # The first that cannot be beside those before it, while those behind it wait.
            first = bisect_left(range(len(new)), True, key=lambda last: refusal([*reasons, *new[last + 1 :]]) is not None)
            reasons[new[first]] = str(refusal([*reasons, *new[first + 1 :]]))
        reasons = {key: reasons[key] for key in new if key in reasons}
    return reasons


def try_out(root: Path, generated: Views) -> None:
    """Import all that was generated below a root, look at each part once, and check its types."""
    places = {module: pointer("components", "schemas", name) for name, module in generated.modules["models"]}
    places |= {one.module: pointer("paths", one.path, one.method.lower()) for one in generated.operations}
    for arguments, what, line in (
        (["-B", "-c", _TRY], "cannot be imported", -1),
        ([*_TYPES, *(f"retell_async/{part}" for part in GENERATED)], "has an error of types", 0),
    ):
        done = subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout or done.stderr).strip().splitlines()[line]
            raise Refused(places.get(Path(said.partition(":")[0]).stem, ""), f"what is generated from it {what}: {said}")
