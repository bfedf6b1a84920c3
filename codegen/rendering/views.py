"""All that is generated from one prepared document: its classes, its operations, and the resources that have them as methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from .. import marks
from ..document import Json, Refused, operation_key, operations, pointer, visible
from ..parser import Parsed
from ..passes.lift import pascal
from ..prepare import parsed
from ..reserved import FIELDS, RAW_KEYWORDS
from ..surface import Entry
from .classes import Class, classes
from .operations import Operation, operation
from .types import names, received


@attrs.frozen
class Method:
    """A method of a resource, and the operation that it carries out."""

    resource: str
    name: str
    operation: Operation
    deprecated: str | None = None
    """What to say to those who call it, if it will go."""


@attrs.frozen
class Resource:
    """A namespace of the client."""

    name: str
    methods: list[Method]
    gone: list[tuple[str, str]] = attrs.field(factory=list)
    """Names that are no longer there, and what to say to those who call them."""
    helper: str | None = None
    """The class with its methods by hand."""

    @property
    def class_names(self) -> list[str]:
        """The names of its classes, which are those of the official SDK, without the ``Async`` of those that are awaited."""
        name = "CRMResource" if self.name == "crm" else f"{pascal(self.name)}Resource"
        return [name, f"{name}WithRawResponse", f"{name}WithStreamingResponse"]

    @property
    def types(self) -> list[str]:
        return [one for method in self.methods for one in method.operation.types]


@attrs.frozen
class Views:
    """Everything that is generated from one prepared document."""

    prepared: Json
    parsed: Parsed
    classes: list[Class]
    operations: list[Operation]
    resources: list[Resource]
    modules: dict[str, list[tuple[str, str]]]
    """Names and modules of what ``raw/models`` and ``raw/params`` have, by folder."""
    vain: Sequence[str] = ()
    """What else our files say in vain."""

    @property
    def notes(self) -> list[str]:
        """What has no model, what methods take under another name, since the document's is taken, what the surface says in vain."""
        unreachable = len(self.prepared[marks.UNREACHABLE])
        without = [f"no operation needs {unreachable} schemas, which have no model"] if unreachable else []
        taken = [(method, field) for resource in self.resources for method in resource.methods for field in method.operation.taken]
        aside = [
            f"client.{method.resource}.{method.name} takes {visible(field.wire)} as {field.name}, since its own name is taken"
            for method, field in taken
            if (field.name.endswith("_") and field.name[:-1] in FIELDS | RAW_KEYWORDS | {method.operation.module})
            or any(field.name.startswith(f"{place}_") and not field.wire.startswith(f"{place}_") for place in method.operation.fields)
        ]
        vain = [(one, old, new) for one in self.operations for old, new in one.entry.renamed.items() if old not in one.renamed]
        unused = [f"openapi/surface.yaml: client.{one.entry.methods[0]} does not need {old} to stand for {new}" for one, old, new in vain]
        limits = Counter(one.entry.limit for one in self.operations if one.entry.limit)
        alone = [f"openapi/surface.yaml: one operation alone has the limit {name}" for name, count in limits.items() if count == 1]
        return [*without, *aside, *unused, *alone, *self.vain]

    def imports(self, types: Iterable[str], own: str = "") -> list[tuple[str, str, str]]:
        """Folder, module and name of what types use, but for the module's own."""
        used = names(types) - {own}
        return [(folder, module, name) for folder, pairs in self.modules.items() for name, module in pairs if name in used]


def views(
    prepared: Json, entries: dict[str, Entry], retired: Mapping[str, str] = {}, helpers: Mapping[str, str] = {}, vain: Sequence[str] = ()
) -> Views:
    """Decide every file from a prepared document, the names of its operations, what is said of those that end, and classes by hand."""
    ending, read = {**retired}, parsed(prepared)
    keyed = [read.endpoints[key] for key, entry in entries.items() if entry.repeat == "idempotency_key" and key in read.endpoints]
    made = classes(prepared, read, names(received(one.prop) for endpoint in keyed for one in endpoint.responses))
    found: dict[str, Operation] = {}
    for method, path, said in operations(prepared):
        view = operation(prepared, read, method, path, said, entries[operation_key(method, path)])
        if found.setdefault(view.module, view) is not view:
            other, line = found[view.module], f"{view.method} {path}: {{id: ...}}"
            reason = f"{view.module} is the name of {other.method} {other.path} too: give another in openapi/surface.yaml, {line}"
            raise Refused(pointer("paths", path, method), reason)
    some = [(view, *method.partition(".")[::2]) for view in found.values() for method in view.entry.methods]
    methods = [Method(one, name, view, ending.pop(f"{one}.{name}", None)) for view, one, name in some]
    resources: list[Resource] = []
    for name in sorted({*(one.resource for one in methods), *(gone.partition(".")[0] for gone in ending)}):  # what is left has ended
        own = sorted((one for one in methods if one.resource == name), key=lambda one: one.name)
        gone = [(method.partition(".")[2], said) for method, said in sorted(ending.items()) if method.startswith(f"{name}.")]
        resources.append(Resource(name, own, gone, helpers.get(name)))
    public = [one for one in sorted(made, key=lambda one: one.name) if not one.module.startswith("_")]
    modules = {folder: [(one.name, one.module) for one in public if one.folder == folder] for folder in ("models", "params")}
    taken = {one.name for one in public}
    for resource in resources:
        if clash := taken & {f"{start}{own}" for own in resource.class_names for start in ("", "Async")}:
            raise Refused(pointer("components", "schemas", min(clash)), f"is the class of client.{resource.name}: name it in the overlay")
    return Views(prepared, read, made, list(found.values()), resources, modules, vain)
