"""Operations: what their raw modules and the methods of the client say, from what the generator's parser found of each."""

from __future__ import annotations

import re
from itertools import chain

import attrs

from .. import marks
from ..document import Json, Refused, is_object, pointer, ref_name, resolved, walk
from ..operation import answer, called, listing, properties
from ..parser import ListProperty, ModelProperty, Parsed, Property, fields, wire
from ..passes.names import module_name, python_name
from ..passes.reachable import reached
from ..reserved import KEYWORDS, PACKAGE, RAW_KEYWORDS, aside, is_name
from ..surface import Entry
from ..words import about
from .classes import Field, alias, check_names
from .types import alternatives, names, received, sent, spec

_ERRORS = dict(re.findall(r"^    (\d+): (\w+),$", (PACKAGE / "_core/errors.py").read_text(encoding="utf-8"), re.MULTILINE))
_ERRORS["500"] = "InternalServerError"
# What changes or ends a thing that the caller names: an answer without a body says all that the caller must know.
_CHANGING = re.compile(r"(PUT|PATCH|DELETE) |\w+ /(v\d+/)?update-")


@attrs.frozen(kw_only=True)
class Operation:
    """One operation."""

    said: Json
    """As the prepared document has it."""
    entry: Entry
    method: str
    path: str
    module: str
    fields: dict[str, list[Field]]
    """What it takes in the ``path``, the ``query``, the ``header`` and the ``body``."""
    body: str | None
    """The class of what it sends."""
    exclusive: list[list[str]]
    multipart: bool
    files: list[str]
    json: list[str]
    parts: list[str]
    aliases: list[str]
    """Other names for fields in the body: what Python calls those that are not written as it writes names."""
    styles: dict[str, str]
    media: str
    returns: str
    nullable: bool
    """Whether a successful answer may be empty, and is ``None`` then."""
    spec: str | None
    statuses: dict[int, str]
    """What decodes an answer by its status, where several mean success."""
    item: str | None
    """What it lists."""
    paging: str | None

    @property
    def group(self) -> str:
        return self.entry.methods[0].partition(".")[0]

    @property
    def optional(self) -> bool:
        """Whether a successful answer may be empty: the caller knows what it would say."""
        return self.returns != "None" and self.media == "json" and not self.nullable and bool(_CHANGING.match(f"{self.method} {self.path}"))

    @property
    def positional(self) -> list[Field]:
        """The last parameter of the path is given by place, those before it by name."""
        return self.fields["path"][-1:]

    @property
    def keywords(self) -> list[Field]:
        some = [field for field in chain(*self.fields.values()) if field not in self.positional]
        return sorted(some, key=lambda field: not field.required)

    @property
    def taken(self) -> list[Field]:
        return [*self.positional, *self.keywords]

    @property
    def renamed(self) -> dict[str, str]:
        """Keywords as they were called before, and as they are called now."""
        there = {field.name for field in self.taken}
        return {old: new for old, new in self.entry.renamed.items() if new in there and old not in there}

    def before(self, old: str) -> list[Field]:
        """All that it takes, by name, for those who give a keyword its old name."""
        some = [attrs.evolve(field, name=old, required=True) if field.name == self.renamed[old] else field for field in self.taken]
        return sorted(some, key=lambda field: not field.required)

    @property
    def types(self) -> list[str]:
        """Of all that it takes and answers."""
        return [self.returns, self.item or "None", f"{self.body}Param" if self.body else "None", *(field.type for field in self.keywords)]

    @property
    def docstring(self) -> str:
        called = f"`{self.method} {self.path}`{' (deprecated)' if self.said.get('deprecated') else ''}"
        first, _, rest = about(self.said).partition(". ")
        paragraphs = [f"{first.rstrip('.')}.", rest, f"Calls {called}."] if first else [called]
        was = {new: f"Was `{old}`, which still works, with a `DeprecationWarning`." for old, new in self.renamed.items()}
        words = [(field.name, f"{field.doc} {was.get(field.name, '')}".strip()) for field in self.taken]
        details = [f":param {name}: {said}" for name, said in words if said]
        if errors := [_ERRORS[str(status)] for status in self.said[marks.ERRORS] if str(status) in _ERRORS]:
            details.append(f":raises APIStatusError: {', '.join(errors)}")
        return "\n\n".join([*(text for text in paragraphs if text), "\n".join(details)]).strip()


def operation(document: Json, read: Parsed, method: str, path: str, said: Json, entry: Entry) -> Operation:
    """What there is to say of an operation."""
    where = pointer("paths", path, method)
    words = {(parameter["in"], parameter["name"]): about(parameter["schema"]) for parameter in said["parameters"]}
    contents: Json = said.get("requestBody", {}).get("content", {})  # `wire` has left one
    body = next((ref_name(media["schema"]) for media in contents.values()), None)
    schemas: dict[str, Json] = document["components"]["schemas"]
    schema = schemas[body] if body else {}
    if contents and not is_object(schema):
        place = where + pointer("requestBody", "content", *contents, "schema")
        raise Refused(place, "a body that is no object with fields cannot be expressed as keywords")
    endpoint = read.endpoint(method, path)
    words |= {("body", name): about(field) for name, field in schema.get("properties", {}).items()}
    props = {wire(prop): prop for prop in fields(read.model(body))} if body else {}
    taken: dict[str, list[tuple[str, Property]]] = {
        "path": [*zip(re.findall(r"{([^}]*)}", path), endpoint.path_parameters, strict=True)],
        "query": [(wire(prop), prop) for prop in endpoint.query_parameters],
        "header": [(wire(prop), prop) for prop in (*endpoint.header_parameters, *endpoint.cookie_parameters)],
        "body": [(name, props[name]) for name in properties(document, schema, sent=True)],
    }
    module = module_name(said["operationId"])
    if not is_name(module):
        raise Refused(f"{where}/operationId", f"{said['operationId']!r} cannot be made the name of a module")
    taking: dict[str, list[Field]] = {}
    for place, some in taken.items():
        used = (KEYWORDS if place == "body" else RAW_KEYWORDS) | {module}
        those = [(name, prop, aside(python_name(called(said, place, name)), used)) for name, prop in some]
        taking[place] = [Field(name, sent(prop), prop.required, words[place, name], name=own) for name, prop, own in those]
    check_names(chain(*taking.values()), where)

    media, returned = said.get(marks.MEDIA, "json"), answer(said)
    answers = {} if returned is None else {one.status_code.pattern: one.prop for one in endpoint.responses}
    returns = {"text": "str", "bytes": "bytes"}.get(media) or received(*answers.values())
    nullable = media == "json" and (marks.NULLABLE in said or returns.endswith(" | None"))
    kind, paging = "one object" if returned is None else listing(document, returned)[0], None
    if kind == "a bare array" and (nullable or len(answers) > 1):
        kind = "one object"  # what may be no list is awaited as it comes
    listed: Property | None = next(iter(answers.values()), None)
    if kind == "pages":
        page = {wire(prop): prop for prop in fields(read.model(str(ref_name(returned or {}))))}
        listed = page["items"]
        paging = next((place for place in ("query", "body") if any(one.wire == "pagination_key" for one in taking[place])), None)
        key, _ = properties(document, returned or {}, sent=False).get("pagination_key", ({"type": "none"}, False))
        if paging is None or resolved(document, key).get("type", "string") != "string":
            lacks = "takes no pagination_key" if paging is None else "these have no pagination_key that is a text"
            raise Refused(where, f"answers with pages, and {lacks} to ask for the next one")
    items = [one for one in alternatives(listed) if isinstance(one, ListProperty)] if listed and kind != "one object" else []
    multipart = [one.body_type for one in endpoint.bodies] == ["files"]
    files = [field.wire for field in taking["body"] if multipart and "FileTypes" in names([field.type])]
    misplaced = [field.wire for field in chain(*taking.values()) if "FileTypes" in names([field.type]) and field.wire not in files]
    inside = [(name, *one) for name in reached(document, [body] if body else []) for one in schemas[name].get("properties", {}).items()]
    deeper = [(f"{name}.{own}", field) for name, own, field in inside if name != body]
    misplaced += [place for place, field in deeper if any(inner.get("format") == "binary" for _, inner in walk(field))]
    if misplaced:
        raise Refused(where, f"{misplaced[0]} is a file, which only a field of a form can be")
    wires = {own for _, own, _ in inside}
    whole = [name for name, prop in taken["body"] if any(isinstance(one, ListProperty | ModelProperty) for one in alternatives(prop))]
    texts = [name for name in whole if multipart and name not in files]
    is_json = multipart and marks.JSON_TEXTS in said["requestBody"]["content"]["multipart/form-data"]
    return Operation(
        said=said,
        entry=entry,
        method=method.upper(),
        path=path,
        module=module,
        fields=taking,
        body=body,
        styles={parameter["name"]: parameter[marks.STYLE] for parameter in said["parameters"] if marks.STYLE in parameter},
        media=media,
        exclusive=schema.get(marks.EXCLUSIVE, []),
        multipart=multipart,
        files=files,
        json=texts if is_json else [],
        parts=[] if is_json else texts,
        aliases=[] if multipart else sorted({other for own in wires if (other := alias(own)) is not None} - wires),
        returns=f"{returns} | None" if nullable and returns != "Any" and not returns.endswith(" | None") else returns,
        nullable=nullable,
        spec=spec(*answers.values()) if len(answers) == 1 else None,
        statuses={int(status): found for status, prop in answers.items() if len(answers) > 1 and (found := spec(prop))},
        item=received(items[0].inner_property) if items else None,
        paging=paging,
    )
