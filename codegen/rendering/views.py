"""What the templates see: each file's contents, decided; nothing is left to work out in a template."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, TypedDict

import attrs
from openapi_python_client.strings import PythonIdentifier

from .. import marks
from ..document import Json, Refused, is_object, operation_key, operations, pointer, ref_name, resolved, visible
from ..operation import answer, listing, properties
from ..passes.lift import pascal
from ..passes.names import module_name
from ..reserved import FIELDS, KEYED_FIELDS, KEYWORDS, RAW_KEYWORDS, aside, is_name, stepped_aside
from ..retired import Retired
from ..surface import Entry
from ..words import about
from .types import Types, alternatives, scalar

_ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "PaymentRequiredError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    412: "PreconditionFailedError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
}
# What changes or ends a thing that the caller names: an answer without a body says all that the caller must know.
_CHANGING_METHODS = frozenset({"PUT", "PATCH", "DELETE"})
_CHANGING_PATH = re.compile(r"^/(v\d+/)?update-")


def python_name(wire: str) -> str:
    """A field's name in Python: its own where that is one, else what the generator makes of it."""
    name = wire if re.fullmatch(r"(?!__)[a-z_][a-z0-9_]*", wire) else str(PythonIdentifier(wire, "field_"))
    return aside(unicodedata.normalize("NFKC", name), FIELDS)


def keyword_name(wire: str) -> str:
    """The same of what a method takes."""
    return aside(python_name(wire), KEYWORDS)


@attrs.frozen
class Field:
    """A field of a model or a parameter of a method."""

    wire: str
    type: str
    required: bool
    doc: str = ""
    spec: str | None = None
    name: str = attrs.field(default=attrs.Factory(lambda self: python_name(self.wire), takes_self=True))


@attrs.frozen
class Module:
    """What all generated modules have: what they import for type checkers."""

    models: list[tuple[str, str]]
    params: list[tuple[str, str]]


@attrs.frozen
class Class(Module):
    """A model, or the dict of it that a request takes."""

    name: str
    module: str
    fields: list[Field]
    doc: str
    base: str = "Model"
    common: tuple[str, str] | None = None
    """The class, and its module, that has the fields which type checkers have to see declared once for a whole union."""
    of_api: bool = True

    @property
    def title(self) -> str:
        return f"`{self.name}` of the API." if self.of_api else f"`{self.name}`, which the API does not have."

    @property
    def nested(self) -> list[Field]:
        return [field for field in self.fields if field.spec]

    @property
    def renamed(self) -> list[Field]:
        return [field for field in self.fields if field.name != field.wire]

    @property
    def aliases(self) -> list[tuple[str, Field]]:
        """The names that the official SDK gives the attributes which pydantic would not have: ``model_`` is its own."""
        taken = {field.name for field in self.fields}
        named = [(f"api_{field.name}", field) for field in self.fields if field.name.startswith("model_")]
        return [(name, field) for name, field in named if name not in taken]

    @property
    def functional(self) -> bool:
        """Whether a field's name in JSON cannot be written as one in a class body, which gives those with two underscores its own."""
        return any(not is_name(field.wire) or field.wire.startswith("__") for field in self.fields)


@attrs.frozen
class Union(Module):
    """Members of a union, and the table that tells them apart."""

    name: str
    module: str
    members: list[str]
    spec: str
    by: str


@attrs.frozen
class Enum:
    """Values with a name."""

    name: str
    module: str
    literal: str


@attrs.frozen
class Operation(Module):
    """One operation: what its raw module and the methods of the facade say."""

    id: str
    module: str
    group: str
    method: str
    path: str
    repeat: str
    path_fields: list[Field]
    query_fields: list[Field]
    body_fields: list[Field]
    body: str | None
    body_required: bool
    returns: str
    item: str | None
    spec: str | None
    files: list[str]
    json: list[str]
    multipart: bool
    aliases: tuple[str, list[str]] | None
    """The schema of the body, and other names for fields in it: what Python calls those that are not written as it writes names."""
    paging: str | None
    exclusive: list[list[str]]
    timeout: float | None
    limit: str | None
    optional: bool
    """Whether an answer of success may be empty: the caller knows what it would say."""
    deprecated: bool
    doc: str
    errors: list[str]

    @property
    def positional(self) -> list[Field]:
        """The last parameter of the path is given by place, those before it by name."""
        return self.path_fields[-1:]

    @property
    def keywords(self) -> list[Field]:
        fields = [*self.path_fields[:-1], *self.query_fields, *self.body_fields]
        return [*(field for field in fields if field.required), *(field for field in fields if not field.required)]

    @property
    def whole(self) -> bool:
        """Whether it lists things and has no pages."""
        return self.item is not None and self.paging is None

    @property
    def paginator(self) -> str | None:
        """What a method that lists gives."""
        return None if self.item is None else f"Async{'List' if self.whole else ''}Paginator[{self.item}]"

    @property
    def page(self) -> str | None:
        """The same for those who do not await."""
        return None if self.item is None else f"Sync{'List' if self.whole else ''}Page[{self.item}]"

    @property
    def docstring(self) -> str:
        called = f"`{self.method} {self.path}`{' (deprecated)' if self.deprecated else ''}"
        first, _, rest = self.doc.partition(". ")
        paragraphs = [f"{first.rstrip('.')}.", rest, f"Calls {called}."] if self.doc else [called]
        details = [f":param {field.name}: {field.doc}" for field in [*self.positional, *self.keywords] if field.doc]
        if self.errors:
            details.append(f":raises APIStatusError: {', '.join(self.errors)}")
        return "\n\n".join([*(text for text in paragraphs if text), "\n".join(details)]).strip()


@attrs.frozen
class Method:
    """A method of a resource, and the operation that it carries out."""

    name: str
    operation: Operation
    deprecated: str | None = None
    """What to say to those who call it, if it will go."""


_SPELT = {"crm": "CRM"}


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
        name = f"{_SPELT.get(self.name, pascal(self.name))}Resource"
        return [name, f"{name}WithRawResponse", f"{name}WithStreamingResponse"]

    @property
    def operations(self) -> list[Operation]:
        by_module = {method.operation.module: method.operation for method in self.methods}
        return [by_module[module] for module in sorted(by_module)]

    def names(self, kind: str) -> list[tuple[str, str]]:
        return sorted({pair for operation in self.operations for pair in getattr(operation, kind)})


@attrs.frozen
class Views:
    """Everything that is generated from one prepared document."""

    models: list[Class]
    unknowns: list[Class]
    """What stands for members of unions that are not known."""
    commons: list[Class]
    unions: list[Union]
    enums: list[Enum]
    params: list[Class]
    param_unions: list[Union]
    operations: list[Operation]
    resources: list[Resource]

    @property
    def aside(self) -> list[str]:
        """What methods take under another name than the document's, since that is taken."""
        found: list[str] = []
        for resource in self.resources:
            for method in resource.methods:
                found.extend(
                    f"client.{resource.name}.{method.name} takes {visible(field.wire)} as {field.name}, since its own name is taken"
                    for field in [*method.operation.positional, *method.operation.keywords]
                    if stepped_aside(field.name, FIELDS | RAW_KEYWORDS | {method.operation.module})
                )
        return found

    @property
    def model_names(self) -> list[tuple[str, str]]:
        views: list[Class | Union | Enum] = [*self.models, *self.unknowns, *self.unions, *self.enums]
        return sorted((view.name, view.module) for view in views)

    @property
    def param_names(self) -> list[tuple[str, str]]:
        views: list[Class | Union] = [*self.params, *self.param_unions]
        return sorted((view.name, view.module) for view in views)


def views(prepared: Json, entries: dict[str, Entry], retired: Retired | None = None, helpers: Mapping[str, str] | None = None) -> Views:
    """Decide every file from a prepared document, the names of its operations, what is said of those that end, and classes by hand."""
    retired = retired or Retired()
    schemas: dict[str, Json] = prepared["components"]["schemas"]
    found = Views([], [], [], [], [], [], [], [], [])
    keyed = {
        ref_name(answer(operation, pointer("paths", path, method)) or {})
        for method, path, operation in operations(prepared)
        if entries[operation_key(method, path)].repeat == "idempotency_key"
    }
    for name, schema in schemas.items():
        if "oneOf" in schema:
            if may_be_unknown(prepared, schema):
                found.unknowns.append(_unknown(prepared, name, schema))
            found.unions.append(_union(prepared, name, schema))
            if schema.get(marks.REQUEST):
                found.param_unions.append(_param_union(prepared, name, schema))
        elif is_object(schema):
            found.models.append(_model(prepared, name, schema, "KeyedModel" if name in keyed else "Model"))
            if schema.get(marks.REQUEST):
                found.params.append(_params(prepared, name, schema))
        else:
            with _placed(pointer("components", "schemas", name)):
                found.enums.append(Enum(name, module_name(name), Types(prepared).literal(schema)))
    _declare_once(prepared, found)
    for method, path, operation in operations(prepared):
        found.operations.append(_operation(prepared, method, path, operation, entries[operation_key(method, path)]))
    by_module: dict[str, Operation] = {}
    for view in found.operations:
        if by_module.setdefault(view.module, view) is not view:
            raise Refused(pointer("paths", view.path), f"{view.module} is another operation's name too")
    gone = [(*name.split("."), message) for name, message in sorted(retired.gone.items())]
    for name in sorted({method.resource for entry in entries.values() for method in entry.methods} | {resource for resource, _, _ in gone}):
        methods = [
            Method(said.name, view, retired.deprecated.get(f"{name}.{said.name}"))
            for view in found.operations
            for said in entries[f"{view.method} {view.path}"].methods
            if said.resource == name
        ]
        lost = [(method, message) for resource, method, message in gone if resource == name]
        found.resources.append(Resource(name, sorted(methods, key=lambda method: method.name), lost, (helpers or {}).get(name)))
    _check_classes(found)
    return found


def _check_classes(found: Views) -> None:
    """Refuse a schema that is called as the class of a resource is."""
    names = {name for name, _ in [*found.model_names, *found.param_names]}
    for resource in found.resources:
        for name in (each for own in resource.class_names for each in (own, f"Async{own}")):
            if name in names:
                raise Refused(pointer("components", "schemas", name), f"is the class of client.{resource.name}: name it in the overlay")


class _Imports(TypedDict):
    models: list[tuple[str, str]]
    params: list[tuple[str, str]]


def _imports(types: Types, own: str = "") -> _Imports:
    """What a module has to import, apart from what it defines itself."""
    return {
        "models": sorted((name, module_name(name)) for name in types.models if name != own),
        "params": sorted((name, module_name(name.removesuffix("Param"))) for name in types.params if name != f"{own}Param"),
    }


def _model(document: Json, name: str, schema: Json, base: str = "Model") -> Class:
    types = Types(document)
    required = set(schema.get("required", ()))
    tags = _tags(document, name)
    fields: list[Field] = []
    for wire, field in sorted(schema["properties"].items(), key=lambda item: (item[0] not in required, item[0])):
        said = {**field, marks.IS_TAG: True} if wire in tags else field
        with _placed(pointer("components", "schemas", name, "properties", wire)):
            kind, spec = types.received(said), types.spec(field)
        if wire not in required and not kind.endswith(" | None") and kind != "Any":
            kind += " | None"
        own = aside(python_name(wire), KEYED_FIELDS if base == "KeyedModel" else frozenset())
        fields.append(Field(wire, kind, wire in required, about(field), spec, own))
    _check_names(fields, pointer("components", "schemas", name))
    return Class(
        **_imports(types, name),
        name=name,
        module=module_name(name),
        fields=fields,
        doc=about(schema),
        base=base,
    )


@contextmanager
def _placed(where: str) -> Generator[None]:
    """Say where it was that a type was refused."""
    try:
        yield
    except Refused as refused:
        raise Refused(refused.pointer or where, refused.reason) from None


def _check_names(fields: Iterable[Field], where: str) -> None:
    names: dict[str, str] = {}
    for field in fields:
        if not is_name(field.name):
            raise Refused(where, f"{field.wire!r} cannot be made a name in Python")
        if field.name in names:
            raise Refused(where, f"{field.wire!r} and {names[field.name]!r} are both {field.name} in Python")
        names[field.name] = field.wire


def _tags(document: Json, name: str) -> set[str]:
    """The fields by which unions choose this class."""
    return {
        union[marks.TAG]
        for union in document["components"]["schemas"].values()
        if marks.TAG in union and any(ref_name(member) == name for member in union["oneOf"])
    }


def _params(document: Json, name: str, schema: Json) -> Class:
    types = Types(document)
    sent = sorted(properties(document, schema, sent=True).items(), key=lambda item: (not item[1][1], item[0]))
    tags = _tags(document, name)
    fields = [
        Field(wire, types.sent({**field, marks.IS_TAG: True} if wire in tags else field), required, about(field))
        for wire, (field, required) in sent
    ]
    fields.extend(
        Field(other, types.sent(field), required=False, doc=f"`{wire}`, as the official SDK calls it.")
        for wire, (field, _) in sent
        if (other := alias(wire)) is not None
    )
    return Class(**_imports(types, name), name=f"{name}Param", module=module_name(name), fields=fields, doc=about(schema))


def _union(document: Json, name: str, schema: Json) -> Union:
    types = Types(document)
    members = alternatives(types.received({"oneOf": schema["oneOf"]}))
    other = unknown_name(document, name) if may_be_unknown(document, schema) else None
    if other is not None:
        members.append(other)
        types.models.add(other)
    by = f"by `{schema[marks.TAG]}`" if marks.TAG in schema else "by the fields that are there" if schema.get(marks.KEYED) else "by kind"
    with _placed(pointer("components", "schemas", name)):
        spec = types.union_spec(schema, other)
    return Union(**_imports(types, name), name=name, module=module_name(name), members=members, spec=spec, by=by)


def _unknown(document: Json, name: str, schema: Json) -> Class:
    """What stands for an object of a union that is none of its members: it has what all of them have, of the same types."""
    members = [_model(document, str(ref_name(member)), resolved(document, member)) for member in _objects(document, schema)]
    first, *others = ({field.wire: field for field in member.fields} for member in members)
    tag, values = schema.get(marks.TAG), [value for member in schema["oneOf"] for value in member.get(marks.VALUES, ())]
    fields: list[Field] = []
    for wire in [wire for wire in first if all(wire in other for other in others)]:
        field = _shared([first[wire], *(other[wire] for other in others)])
        if wire == tag:
            field = attrs.evolve(field, type=f"{scalar(values)} | None", required=False, doc="Which kind it is, if it says so.")
        fields.append(field)
    return Class(
        models=sorted({pair for member in members for pair in [*member.models, (member.name, member.module)]}),
        params=[],
        name=(own := unknown_name(document, name)),
        module=module_name(own),
        fields=sorted(fields, key=lambda field: (not field.required, field.wire)),
        doc=f"A member of `{name}` that this version does not know, or one that does not say which it is: what all members have in common.",
        base="UnknownObject",
        of_api=False,
    )


def _declare_once(document: Json, found: Views) -> None:
    """Move what a type checker would otherwise make a mere `str` of, as a field of a union: open enums that all members have.

    Pyright keeps the values of an enum beside `str`, for an editor to offer, only where all that it finds is one and the same declaration.
    """
    places = {view.name: (some, index) for some in (found.models, found.unknowns) for index, view in enumerate(some)}
    for union in found.unions:
        names = [str(ref_name(member)) for member in _objects(document, document["components"]["schemas"][union.name])]
        names.extend(name for name in union.members if name == unknown_name(document, union.name))
        members = [some[index] for some, index in (places[name] for name in names)]
        shared = [field for field in members[0].fields if _is_open(document, field) and all(field in member.fields for member in members)]
        if len(members) > 1 and shared and not any(member.common for member in members):
            common = Class(
                models=sorted({pair for member in members for pair in member.models}),
                params=[],
                name=f"{union.name}Fields",
                module=f"_{union.module}",
                fields=shared,
                doc=f"What every member of `{union.name}` has.",
                of_api=False,
            )
            found.commons.append(common)
            for name in names:
                some, index = places[name]
                rest = [field for field in some[index].fields if field not in shared]
                some[index] = attrs.evolve(some[index], fields=rest, common=(common.name, common.module))


def _is_open(document: Json, field: Field) -> bool:
    parts = alternatives(field.type)
    enums = [part for part in parts if part.startswith("Literal") or "enum" in document["components"]["schemas"].get(part, {})]
    return field.required and bool(enums) and "str" in parts


def _shared(fields: list[Field]) -> Field:
    """One field for what several members have under one name; what cannot be decoded the same in all of them stays plain JSON."""
    first, required = fields[0], all(field.required for field in fields)
    doc = first.doc if all(field.doc == first.doc for field in fields) else ""
    if any(field.spec != first.spec for field in fields):
        return attrs.evolve(first, type="Any", required=required, spec=None, doc=doc)
    types = dict.fromkeys(part for field in fields for part in alternatives(field.type))
    if "Any" in types:
        types = {"Any": None}
    elif "None" in types:
        types = {**{part: None for part in types if part != "None"}, "None": None}
    return attrs.evolve(first, type=" | ".join(types), required=required, doc=doc)


def unknown_name(document: Json, name: str) -> str:
    """The name of the class for a union's unknown members, which no schema has."""
    taken = {module_name(other) for other in document["components"]["schemas"]}
    found = f"Unknown{name}"
    while module_name(found) in taken:
        found += "Object"
    return found


def may_be_unknown(document: Json, schema: Json) -> bool:
    """Whether an object can be none of a union's members: not where one member is whatever the others are not."""
    return marks.TAG in schema or (
        bool(schema.get(marks.KEYED)) and all(marks.KEY in member and member[marks.KEY] for member in _objects(document, schema))
    )


def _objects(document: Json, schema: Json) -> list[Json]:
    return [member for member in schema["oneOf"] if is_object(resolved(document, member))]


def _param_union(document: Json, name: str, schema: Json) -> Union:
    types = Types(document)
    members = alternatives(types.sent({"oneOf": schema["oneOf"]}))
    return Union(**_imports(types, name), name=f"{name}Param", module=module_name(name), members=members, spec="", by="")


def _operation(document: Json, method: str, path: str, operation: Json, entry: Entry) -> Operation:
    where = pointer("paths", path, method)
    types = Types(document)
    path_names = re.findall(r"{([^}]*)}", path)
    parameters = {(parameter["in"], parameter["name"]): parameter for parameter in operation["parameters"]}
    for kind, name in parameters:
        if kind not in ("path", "query"):
            raise Refused(f"{where}/parameters", f"{name} is sent in the {kind}: only path and query are expressed")
    path_fields = [Field(name, "str", required=True, doc=_about_parameter(parameters.get(("path", name), {}))) for name in path_names]
    query_fields = [
        Field(name, types.sent(parameter["schema"]), bool(parameter.get("required")), _about_parameter(parameter))
        for (kind, name), parameter in parameters.items()
        if kind == "query"
    ]
    body_name, body_fields, multipart, files, json, exclusive, body_required = _body(document, operation, where, types)
    module = module_name(operation["operationId"])
    if not is_name(module):
        raise Refused(f"{where}/operationId", f"{operation['operationId']!r} cannot be made the name of a module")
    clash = {field.name for field in body_fields} & {field.name for field in [*path_fields, *query_fields]}
    body_fields = [attrs.evolve(field, name=f"body_{field.name}") if field.name in clash else field for field in body_fields]
    query_fields = [attrs.evolve(field, name=f"query_{field.name}") if field.name in clash else field for field in query_fields]
    body_fields = _aside(body_fields, KEYWORDS | {module})
    path_fields, query_fields = (_aside(fields, RAW_KEYWORDS | {module}) for fields in (path_fields, query_fields))
    _check_names([*path_fields, *query_fields, *body_fields], where)
    returned = answer(operation, where)
    returns, spec, item = "None", None, None
    paging = None
    if returned is not None:
        returns, spec = types.received(returned), types.spec(returned)
        kind, one = listing(document, returned)
        item = None if kind == "object" else types.received(one)
        if kind == "pages":
            fields = {"query": query_fields, "body": body_fields}
            paging = next((place for place, some in fields.items() if any(field.wire == "pagination_key" for field in some)), None)
            if paging is None:
                raise Refused(where, "answers with pages, and takes no pagination_key to ask for the next one")
    return Operation(
        **_imports(types),
        id=operation["operationId"],
        module=module,
        group=entry.methods[0].resource,
        method=method.upper(),
        path=path,
        repeat=entry.repeat,
        path_fields=path_fields,
        query_fields=query_fields,
        body_fields=body_fields,
        body=body_name,
        body_required=body_required,
        returns=returns,
        item=item,
        spec=spec,
        files=files,
        json=json,
        multipart=multipart,
        aliases=None if multipart or body_name is None else _body_aliases(document, body_name.removesuffix("Param")),
        paging=paging,
        exclusive=exclusive,
        timeout=entry.timeout,
        limit=entry.limit,
        optional=returned is not None and (method.upper() in _CHANGING_METHODS or bool(_CHANGING_PATH.match(path))),
        deprecated=bool(operation.get("deprecated")),
        doc=about(operation),
        errors=[_ERRORS[status] for status in operation[marks.ERRORS] if status in _ERRORS],
    )


def _aside(fields: Iterable[Field], taken: frozenset[str]) -> list[Field]:
    return [attrs.evolve(field, name=aside(field.name, taken)) for field in fields]


def _about_parameter(parameter: Json) -> str:
    schema = parameter.get("schema", {})
    note = {**schema.get(marks.NOTE, {}), **parameter.get(marks.NOTE, {})}
    return about({**schema, marks.NOTE: note, marks.WORDS: parameter.get(marks.WORDS)})


_Body = tuple[str | None, list[Field], bool, list[str], list[str], list[list[str]], bool]


def _body(document: Json, operation: Json, where: str, types: Types) -> _Body:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return None, [], False, [], [], [], False
    kind, media = next(iter(content.items()))
    if kind not in ("application/json", "multipart/form-data") or len(content) > 1:
        raise Refused(f"{where}/requestBody/content", f"a body of {', '.join(content)} cannot be expressed")
    name = ref_name(media["schema"])
    schema = resolved(document, media["schema"])
    if name is None or not is_object(schema):
        place = f"{where}{pointer('requestBody', 'content', kind, 'schema')}"
        raise Refused(place, "a body that is no object with fields cannot be expressed as keywords")
    sent = properties(document, schema, sent=True)
    fields = [Field(wire, types.sent(field), required, about(field)) for wire, (field, required) in sent.items()]
    types.params.add(f"{name}Param")
    multipart = kind == "multipart/form-data"
    files = [wire for wire, field in schema["properties"].items() if multipart and _is_file(field)]
    json = [
        wire
        for wire, field in schema["properties"].items()
        if multipart and wire not in files and _is_structured(resolved(document, field))
    ]
    return f"{name}Param", fields, multipart, files, json, schema.get(marks.EXCLUSIVE, []), bool(schema.get("required"))


def alias(wire: str) -> str | None:
    """What the official SDK calls a field whose name is not written as Python writes names."""
    name = python_name(wire)
    return None if name in {wire, f"{wire}_"} or not wire[:1].isalpha() else name


def _body_aliases(document: Json, name: str) -> tuple[str, list[str]] | None:
    """Other names for the fields of a body and of all that is in it."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [name]
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        schema = document["components"]["schemas"][one]
        found.update(filter(None, map(alias, schema.get("properties", {}))))
        left.extend(_references(schema))
    return (name, sorted(found)) if found else None


def _references(schema: Any) -> Generator[str]:
    """Names of the schemas that a schema refers to."""
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        if (name := ref_name(schema)) is not None:
            yield name
        for item in schema.values():
            yield from _references(item)


def _is_structured(schema: Json) -> bool:
    """Whether a value of it is no scalar: an enum with a name is one all the same."""
    return (
        is_object(schema)
        or schema.get("type") in ("array", "object")
        or any(_is_structured(member) or "$ref" in member for member in schema.get("oneOf", ()))
    )


def _is_file(schema: Json) -> bool:
    return schema.get("format") == "binary" or schema.get("items", {}).get("format") == "binary"
