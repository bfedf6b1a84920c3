"""How things go over the wire: one kind of body a request, answers by what they are, arrays in queries as the document wants them.

What this package would send or read in another way than the document says is refused, with the place.
"""

from __future__ import annotations

import re
from itertools import chain

from .. import marks
from ..document import SCALARS, Json, Refused, operations, pointer, resolved

_STYLES = {
    ("form", True): "repeat",
    ("form", False): "comma",
    ("spaceDelimited", False): "space",
    ("pipeDelimited", False): "pipe",
    ("deepObject", True): None,  # as the official SDK writes an object anyway
}
_OUR_OWN_HEADERS = frozenset({"accept", "authorization", "content-type", "content-length", "host", "transfer-encoding", "connection"})
"""Of a parameter with one of the first three names OpenAPI says that it is to be ignored; the others are said by the transport alone."""

_SERVER = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._~/-]*)?")
OURS = "https://api.retellai.com"
"""Where the API is as long as a document does not say."""


def run(document: Json) -> None:
    document[marks.SERVER] = server(document)
    known = document.get("components", {}).get("securitySchemes", {})
    for where, said in [("", document), *((pointer("paths", path, method), said) for method, path, said in operations(document))]:
        for index, way in enumerate(said.get("security", ())):
            if lost := sorted(way.keys() - known.keys()):
                raise Refused(f"{where}/security{pointer(index, lost[0])}", "no security scheme has this name")
    common = {name: document.get(name, []) for name in ("servers", "security")}
    own = [operation.get("security", common["security"]) for _, _, operation in operations(document)]
    document["security"] = common["security"] or max(own, key=own.count, default=[])  # of what is said by each, what most say
    for method, path, operation in operations(document):
        where = pointer("paths", path, method)
        for name, what in (("servers", "another server"), ("security", "another kind of authentication")):
            if operation.get(name, common[name]) != document.get(name, []):
                reason = f"an operation with {what} than the others cannot be expressed: this client would send its key"
                raise Refused(f"{where}/{name}", reason)
        some = enumerate(operation["parameters"])
        operation["parameters"] = [one for index, one in some if _parameter(document, one, f"{where}/parameters/{index}")]
        if "requestBody" in operation:
            _request(document, operation["requestBody"], f"{where}/requestBody/content")
        _answers(operation, f"{where}/responses")


def server(document: Json) -> str:
    """Where the API is, to which keys are sent: the first server that the document names."""
    said = [*document.get("servers", ()), {"url": OURS}][0]
    url = str(said.get("url", ""))
    for name, variable in said.get("variables", {}).items():
        url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
    if not _SERVER.fullmatch(url):
        raise Refused("/servers/0/url", f"{url} is no address that keys may be sent to: https and a host are needed")
    return url.rstrip("/")


def _parameter(document: Json, parameter: Json, where: str) -> bool:
    """Whether a parameter is one that is sent; with a mark if it is written in a way of its own."""
    place, name, schema = parameter["in"], parameter["name"], resolved(document, parameter["schema"])
    if place == "header" and name.lower() in _OUR_OWN_HEADERS:
        return False
    is_field = name.lower() != "cookie" and re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII)
    if place == "cookie" or (place == "header" and not is_field):
        raise Refused(where, f"{name} cannot be sent in a {place}")
    held = _held(document, schema)
    style, explode = parameter.get("style"), parameter.get("explode")
    if place == "query" and (style is not None or explode is not None or name.endswith("[]")):  # which is not sent twice
        style = style or "form"
        way = _STYLES.get((style, style in ("form", "deepObject") if explode is None else explode), "")
        if way == "repeat" and "object" in held:
            way = "fields"
        if way == "" or (style == "deepObject" and "array" in held):
            raise Refused(where, f"{name} in the style {style}{'' if explode is None else f', explode: {explode}'} cannot be sent")
        if way is not None and schema.get("type") not in SCALARS:
            parameter[marks.STYLE] = way
    elif place != "query" and (held or style not in (None, "simple")) and not (place == "header" and held == {"array"}):
        raise Refused(where, f"{name} is no text that can be sent in a {place}")
    return True


def _held(document: Json, schema: Json) -> set[str]:
    """Whether a value may be an array, or an object."""
    schema = resolved(document, schema)
    parts = (_held(document, part) for keyword in ("allOf", "oneOf") for part in schema.get(keyword, ()))
    own = "object" if "properties" in schema else str(schema.get("type"))
    return ({own} & {"array", "object"}).union(*parts)


def _kind(media: str) -> str:
    """What a media type holds: ``json``, ``form``, ``text``, ``events`` or ``bytes``."""
    name = media.partition(";")[0].strip().lower()
    if name in ("application/json", "*/*") or name.endswith("+json"):
        return "json"
    return {"multipart/form-data": "form", "text/event-stream": "events"}.get(name, "text" if name.startswith("text/") else "bytes")


def _request(document: Json, body: Json, where: str) -> None:
    contents = reversed(body.get("content", {}).items())
    kinds = {_kind(media): (media, content) for media, content in contents if not media.lower().partition(";")[0].endswith("+json")}
    if body.get("content") and not kinds.keys() & {"json", "form"}:
        raise Refused(where, f"a body of {', '.join(body['content'])} cannot be expressed: application/json or a form is needed")
    (_, json), (media, content) = (kinds.get(kind, ("", {"schema": {}})) for kind in ("json", "form"))
    others, fields = (_fields(document, one["schema"]) for one in (json, content))
    has_files = any(_is_file(document, field) for field in fields.values())  # which JSON has no word for
    if "json" in kinds and not (has_files and others.keys() <= fields.keys()):
        body["content"] = {"application/json": json}
    elif kinds:
        for name, said in content.get("encoding", {}).items():
            field = resolved(document, fields.get(name, {}))
            usual = {"object": "application/json", **dict.fromkeys(SCALARS, "text/plain")}.get(field.get("type", ""))
            if said.keys() - {"contentType"} or not (usual == said.get("contentType") or _is_file(document, field)):
                place = where + pointer(media, "encoding", name)
                raise Refused(place, "a part of a form that is written in a way of its own cannot be sent")
        body["content"] = {"multipart/form-data": content}


def _fields(document: Json, schema: Json) -> Json:
    """The fields of a body, and of all that it is made of."""
    schema = resolved(document, schema)
    parts = (_fields(document, part) for keyword in ("allOf", "oneOf") for part in schema.get(keyword, ()))
    return dict(chain(*(part.items() for part in parts), schema.get("properties", {}).items()))


def _is_file(document: Json, field: Json) -> bool:
    """Whether a field of a form is a file, or files."""
    field = resolved(document, field)
    return "binary" in (field.get("format"), resolved(document, field.get("items", {})).get("format"))


def _answers(operation: Json, where: str) -> None:
    responses: Json = operation["responses"]
    if not responses:
        raise Refused(where, "no answer means success: say one with a status from 200 to 299")
    found: dict[str, tuple[str, Json]] = {}
    for status, response in responses.items():
        content = {_kind(media): (media, said["schema"]) for media, said in reversed(response.get("content", {}).items())}
        kind = next((kind for kind in ("json", "bytes", "text", "events", "form") if kind in content), "")
        if kind in ("events", "form"):
            raise Refused(where + pointer(status, "content"), f"an answer of {content[kind][0]} cannot be expressed")
        if kind:
            found[str(status)] = (kind, content[kind][1])
    kind, *others = sorted({kind for kind, _ in found.values()}) or ["json"]
    if others:
        raise Refused(where, f"successful answers of several kinds cannot be told apart: {', '.join([kind, *others])}")
    if len(found) > 1 and any(not status.isdecimal() for status in found):
        raise Refused(where, "an answer for all of 2XX beside others cannot be told apart from them")
    if found and len(found) < len(responses):
        operation[marks.NULLABLE] = True
    if kind != "json":
        operation[marks.MEDIA] = kind
    once: dict[str, Json] = {}
    for status, (_, schema) in sorted(found.items()):
        if schema not in once.values():
            once[status if status.isdecimal() else "200"] = schema
    kept: Json = {status: {"description": "", "content": {"application/json": {"schema": schema}}} for status, schema in once.items()}
    operation["responses"] = kept or {str(next(iter(responses))): {"description": ""}}
