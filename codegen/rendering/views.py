"""Operations and resources as the client has them, and all that is generated from one prepared document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from .. import marks
from ..document import Json, Refused, is_object, operation_key, operations, pointer, ref_name, resolved, visible
from ..operation import answer, listing, properties
from ..parser import BodyType, FileProperty, ListProperty, ModelProperty, Parsed, Property, fields, wire
from ..passes.lift import pascal
from ..passes.names import module_name
from ..passes.reachable import follow
from ..prepare import parsed
from ..reserved import FIELDS, KEYWORDS, PACKAGE, RAW_KEYWORDS, aside, is_name, stepped_aside
from ..retired import Retired
from ..surface import Entry
from ..words import about
from .classes import Class, Classes, Field, Union, alias, check_names, classes
from .types import alternatives, names, received, sent, spec

_ERRORS = dict(re.findall(r"^    (\d+): (\w+),$", (PACKAGE / "_core/errors.py").read_text(encoding="utf-8"), re.MULTILINE))
_ERRORS["500"] = "InternalServerError"
# What changes or ends a thing that the caller names: an answer without a body says all that the caller must know.
_CHANGING = re.compile(r"(PUT|PATCH|DELETE) |\w+ /(v\d+/)?update-")


@attrs.frozen
class Operation:
    """One operation: what its raw module and the methods of the facade say."""

    said: Json
    """As the prepared document has it."""
    entry: Entry
    method: str
    path: str
    module: str
    path_fields: list[Field]
    query_fields: list[Field]
    body_fields: list[Field]
    body: str | None
    body_required: bool
    exclusive: list[list[str]]
    multipart: bool
    files: list[str]
    json: list[str]
    aliases: list[str]
    """Other names for fields in the body: what Python calls those that are not written as it writes names."""
    returns: str
    spec: str | None
    item: str | None
    """What it lists."""
    paging: str | None

    @property
    def group(self) -> str:
        return self.entry.methods[0].resource

    @property
    def optional(self) -> bool:
        """Whether an answer of success may be empty: the caller knows what it would say."""
        return self.returns != "None" and bool(_CHANGING.match(f"{self.method} {self.path}"))

    @property
    def positional(self) -> list[Field]:
        """The last parameter of the path is given by place, those before it by name."""
        return self.path_fields[-1:]

    @property
    def keywords(self) -> list[Field]:
        return sorted([*self.path_fields[:-1], *self.query_fields, *self.body_fields], key=lambda field: not field.required)

    @property
    def types(self) -> list[str]:
        """Of all that it takes and answers."""
        return [self.returns, self.item or "None", f"{self.body}Param" if self.body else "None", *(field.type for field in self.keywords)]

    @property
    def docstring(self) -> str:
        called = f"`{self.method} {self.path}`{' (deprecated)' if self.said.get('deprecated') else ''}"
        first, _, rest = about(self.said).partition(". ")
        paragraphs = [f"{first.rstrip('.')}.", rest, f"Calls {called}."] if first else [called]
        details = [f":param {field.name}: {field.doc}" for field in [*self.positional, *self.keywords] if field.doc]
        if errors := [_ERRORS[str(status)] for status in self.said[marks.ERRORS] if str(status) in _ERRORS]:
            details.append(f":raises APIStatusError: {', '.join(errors)}")
        return "\n\n".join([*(text for text in paragraphs if text), "\n".join(details)]).strip()


@attrs.frozen
class Method:
    """A method of a resource, and the operation that it carries out."""

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
    def class_name(self) -> str:
        return f"{pascal(self.name)}Resource"

    @property
    def official_name(self) -> str:
        """The name that the official SDK has for the class."""
        return "AsyncCRMResource" if self.name == "crm" else f"Async{self.class_name}"

    @property
    def types(self) -> list[str]:
        return [one for method in self.methods for one in method.operation.types]

    @property
    def operations(self) -> list[Operation]:
        by_module = {method.operation.module: method.operation for method in self.methods}
        return [by_module[module] for module in sorted(by_module)]


@attrs.frozen
class Views:
    """Everything that is generated from one prepared document."""

    parsed: Parsed
    classes: Classes
    operations: list[Operation]
    resources: list[Resource]

    @property
    def aside(self) -> list[str]:
        """What methods take under another name than the document's, since that is taken."""
        return [
            f"client.{resource.name}.{method.name} takes {visible(field.wire)} as {field.name}, since its own name is taken"
            for resource in self.resources
            for method in resource.methods
            for field in [*method.operation.positional, *method.operation.keywords]
            if stepped_aside(field.name, FIELDS | RAW_KEYWORDS | {method.operation.module})
        ]

    @property
    def model_names(self) -> list[tuple[str, str]]:
        """Names and modules of what ``raw/models`` has."""
        views: list[Class | Union] = [*self.classes.models, *self.classes.unions, *self.classes.enums]
        return sorted((view.name, view.module) for view in views if not view.module.startswith("_"))

    @property
    def param_names(self) -> list[tuple[str, str]]:
        views: list[Class | Union] = [*self.classes.params, *self.classes.param_unions]
        return sorted((view.name, view.module) for view in views)

    def imports(self, types: Iterable[str], own: str = "") -> list[tuple[str, str, str]]:
        """Folder, module and name of what types use, but for the module's own."""
        used = names(types) - {own}
        found = {"models": self.model_names, "params": self.param_names}
        return [(folder, module, name) for folder, pairs in found.items() for name, module in pairs if name in used]


def views(prepared: Json, entries: dict[str, Entry], retired: Retired | None = None, helpers: Mapping[str, str] | None = None) -> Views:
    """Decide every file from a prepared document, the names of its operations, what is said of those that end, and classes by hand."""
    retired, read = retired or Retired(), parsed(prepared)
    keyed = {key for key, entry in entries.items() if entry.repeat == "idempotency_key"}
    made = classes(
        prepared, read, names(received(one.prop) for key in keyed & read.endpoints.keys() for one in read.endpoints[key].responses)
    )
    found: dict[str, Operation] = {}
    for method, path, said in operations(prepared):
        view = _operation(prepared, read, method, path, said, entries[operation_key(method, path)])
        if found.setdefault(view.module, view) is not view:
            raise Refused(pointer("paths", path), f"{view.module} is another operation's name too")
    gone = [(*name.split("."), message) for name, message in sorted(retired.gone.items())]
    resources = [
        Resource(
            name,
            sorted(
                [
                    Method(said.name, view, retired.deprecated.get(str(said)))
                    for view in found.values()
                    for said in view.entry.methods
                    if said.resource == name
                ],
                key=lambda method: method.name,
            ),
            [(method, message) for resource, method, message in gone if resource == name],
            (helpers or {}).get(name),
        )
        for name in sorted({method.resource for entry in entries.values() for method in entry.methods} | {name for name, _, _ in gone})
    ]
    whole = Views(read, made, list(found.values()), resources)
    taken = {name for name, _ in [*whole.model_names, *whole.param_names]}
    for resource in resources:
        for name in (f"{resource.class_name}{end}" for end in ("", "WithRawResponse", "WithStreamingResponse")):
            if name in taken:
                raise Refused(pointer("components", "schemas", name), f"is the class of client.{resource.name}: name it in the overlay")
    return whole


def _operation(document: Json, read: Parsed, method: str, path: str, said: Json, entry: Entry) -> Operation:
    where = pointer("paths", path, method)
    words = {(parameter["in"], parameter["name"]): _about_parameter(parameter) for parameter in said["parameters"]}
    for place, name in words:
        if place not in ("path", "query"):
            raise Refused(f"{where}/parameters", f"{name} is sent in the {place}: only path and query are expressed")
    body, returned = _body(document, said, where), answer(said, where)
    endpoint = read.endpoint(method, path)

    places = zip(re.findall(r"{([^}]*)}", path), endpoint.path_parameters, strict=True)
    path_fields = [Field(name, sent(prop), required=True, doc=words.get(("path", name), "")) for name, prop in places]
    query_fields = [Field(wire(prop), sent(prop), prop.required, words["query", wire(prop)]) for prop in endpoint.query_parameters]
    schema: Json = document["components"]["schemas"][body] if body else {}
    model = {wire(prop): prop for prop in fields(read.model(body))} if body else {}
    taken = properties(document, schema, sent=True)
    body_fields = [Field(name, sent(model[name]), required, about(field)) for name, (field, required) in taken.items()]

    module = module_name(said["operationId"])
    if not is_name(module):
        raise Refused(f"{where}/operationId", f"{said['operationId']!r} cannot be made the name of a module")
    clash = {field.name for field in body_fields} & {field.name for field in [*path_fields, *query_fields]}
    body_fields = [attrs.evolve(field, name=f"body_{field.name}") if field.name in clash else field for field in body_fields]
    query_fields = [attrs.evolve(field, name=f"query_{field.name}") if field.name in clash else field for field in query_fields]
    body_fields = _aside(body_fields, KEYWORDS | {module})
    path_fields, query_fields = (_aside(some, RAW_KEYWORDS | {module}) for some in (path_fields, query_fields))
    check_names([*path_fields, *query_fields, *body_fields], where)

    result = endpoint.responses.patterns[0].prop if returned is not None else None
    kind = listing(document, returned)[0] if returned is not None else "object"
    items: Property | None = result if kind == "array" else None
    paging = None
    if kind == "pages":
        items = next(prop for prop in fields(read.model(str(ref_name(returned or {})))) if wire(prop) == "items")
        some = {"query": query_fields, "body": body_fields}
        paging = next((place for place, given in some.items() if any(field.wire == "pagination_key" for field in given)), None)
        if paging is None:
            raise Refused(where, "answers with pages, and takes no pagination_key to ask for the next one")
    multipart = any(one.body_type == BodyType.FILES for one in endpoint.bodies)
    files = [name for name in taken if multipart and _is_file(model[name])]
    return Operation(
        said=said,
        entry=entry,
        method=method.upper(),
        path=path,
        module=module,
        path_fields=path_fields,
        query_fields=query_fields,
        body_fields=body_fields,
        body=body,
        body_required=any(prop.required for prop in model.values()),
        exclusive=schema.get(marks.EXCLUSIVE, []),
        multipart=multipart,
        files=files,
        json=[name for name in taken if multipart and name not in files and _is_structured(model[name])],
        aliases=[] if multipart or body is None else _aliases(document, body),
        returns="None" if result is None else received(result),
        spec=None if result is None else spec(result),
        item=next((received(one.inner_property) for one in alternatives(items) if isinstance(one, ListProperty)), None) if items else None,
        paging=paging,
    )


def _about_parameter(parameter: Json) -> str:
    schema = parameter["schema"]
    note = {**schema.get(marks.NOTE, {}), **parameter.get(marks.NOTE, {})}
    return about({**schema, marks.NOTE: note, marks.WORDS: parameter.get(marks.WORDS)})


def _aside(fields: Iterable[Field], taken: frozenset[str]) -> list[Field]:
    return [attrs.evolve(field, name=aside(field.name, taken)) for field in fields]


def _body(document: Json, said: Json, where: str) -> str | None:
    """The name of the class that a request sends."""
    content = said.get("requestBody", {}).get("content", {})
    if not content:
        return None
    kind, media = next(iter(content.items()))
    if kind not in ("application/json", "multipart/form-data") or len(content) > 1:
        raise Refused(f"{where}/requestBody/content", f"a body of {', '.join(content)} cannot be expressed")
    name = ref_name(media["schema"])
    if name is None or not is_object(resolved(document, media["schema"])):
        place = f"{where}{pointer('requestBody', 'content', kind, 'schema')}"
        raise Refused(place, "a body that is no object with fields cannot be expressed as keywords")
    return name


def _aliases(document: Json, body: str) -> list[str]:
    """Other names for the fields of a body and of all that is in it."""
    reached: set[str] = set()
    follow(document, body, reached)
    wires = (wire for name in reached for wire in document["components"]["schemas"][name].get("properties", ()))
    return sorted({other for wire in wires if (other := alias(wire)) is not None})


def _is_structured(prop: Property) -> bool:
    """Whether a value of it is no scalar."""
    return any(isinstance(inner, ListProperty | ModelProperty) for inner in alternatives(prop))


def _is_file(prop: Property) -> bool:
    return any(
        isinstance(inner, FileProperty) or (isinstance(inner, ListProperty) and _is_file(inner.inner_property))
        for inner in alternatives(prop)
    )
