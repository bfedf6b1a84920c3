from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from codegen import overlay
from codegen.canonical import canonical
from codegen.document import Json, load_file
from codegen.generate import ROOT
from codegen.retired import retired
from codegen.revisions import report
from codegen.revisions.diff import Change, Impact, Revision, difference, renamed
from codegen.surface import adopted

from . import mutations, revisions

SURFACE = load_file(ROOT / "openapi" / "surface.yaml")
OVERLAY = load_file(ROOT / "openapi" / "overlay.yaml")
BREAKING, ADDITIVE, INTERNAL = Impact


def whole(document: Json) -> Revision:
    return Revision.of(overlay.apply(document, OVERLAY), SURFACE)


@pytest.fixture(scope="module")
def pinned() -> Revision:
    return whole(revisions.PINNED)


def said(change: Change) -> tuple[str, str]:
    return change.impact, f"{change.subject} {change.action}: {change.what}"


def test_one_change_of_each_kind(pinned: Revision) -> None:
    changes = difference(pinned, whole(revisions.CRAFTED))
    was = revisions.PINNED["paths"]["/get-voice/{voice_id}"]["get"]["operationId"]
    assert [(*said(change), change.names) for change in changes] == [
        (
            BREAKING,
            "operation renamed: GET /get-voice/{voice_id} → GET /describe-voice/{voice_id}",
            ("client.voice.retrieve → client.voice.describe",),
        ),
        (BREAKING, "keyword required: agent_version", ("client.chat.create(agent_version=...)",)),
        (BREAKING, "field removed: accent", (f"{revisions.VOICE}.accent",)),
        (ADDITIVE, "operation added: GET /v2/list-widgets", ("client.widget.list",)),
        (
            ADDITIVE,
            'value added: voice_model: "sonic-9"',
            (
                'AgentRequestParam["voice_model"]',
                "AgentResponse.voice_model",
                "client.agent.create(voice_model=...)",
                "client.agent.update(voice_model=...)",
            ),
        ),
        (ADDITIVE, "class added: ListWidgetsResponse", ("types.ListWidgetsResponse",)),
        (ADDITIVE, "class added: ListWidgetsResponseItem", ("types.ListWidgetsResponseItem",)),
        (INTERNAL, f"operation changed: GET /describe-voice/{{voice_id}}: id {was} → describeVoice", ("client.voice.describe",)),
    ]


def test_a_revision_does_not_differ_from_itself(pinned: Revision) -> None:
    assert difference(pinned, pinned) == []
    assert difference(pinned, whole(canonical(revisions.PINNED))) == []


def test_every_operation_that_came_and_went_is_listed(pinned: Revision) -> None:
    """Between the pinned revision and the published one where it is there, else the crafted one."""
    if revisions.PUBLISHED.exists():
        other = whole(canonical(load_file(revisions.PUBLISHED)))
    else:
        other = whole(revisions.CRAFTED)
    changes = difference(pinned, other)
    listed = {(change.action, change.what) for change in changes if change.subject == "operation"}
    moved = renamed(pinned, other)
    went, came = (set(one.operations) - set(two.operations) for one, two in ((pinned, other), (other, pinned)))
    gone = {what.partition(" → ")[0] for action, what in listed if action in ("removed", "moved")}
    assert went - moved.keys() <= gone <= {*pinned.operations}
    assert {what for action, what in listed if action == "added" and "→" not in what} == came - set(moved.values())
    assert {f"{old} → {new}" for old, new in moved.items()} <= {what for _, what in listed}
    assert moved


STRING: Json = {"type": "string"}


def exchange(sent: Json, answered: Json, required: tuple[str, ...] = (), **more: Any) -> Json:
    """A document with one operation that takes a field and answers with one."""

    def content(field: Json) -> Json:
        return {"content": {"application/json": {"schema": {"type": "object", "properties": {"x": field}, "required": [*required]}}}}

    operation = {"operationId": "makeThing", "requestBody": content(sent), "responses": {"200": {"description": "", **content(answered)}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "paths": {"/make-thing": {"post": {**operation, **more}}},
        "components": {},
    }


def both(old: Json, new: Json) -> dict[str, str]:
    """How a change of the same field is classed in what is sent and in what is answered."""
    changes = difference(*(Revision.of(exchange(field, field), {}) for field in (old, new)))
    sides = {"client": "sent", "MakeTh": "answered"}
    return {sides[name[:6]]: change.impact for change in changes for name in change.names}


def test_what_can_no_longer_be_read_or_written_is_gone() -> None:
    assert both(STRING, {**STRING, "writeOnly": True}) == {"answered": BREAKING}
    assert both(STRING, {**STRING, "readOnly": True}) == {"sent": BREAKING}


def test_a_keyword_whose_old_name_still_works_is_not_gone() -> None:
    surface = {"POST /make-thing": {"methods": ["thing.make"], "renamed": {"x": "y"}}}
    old, new = (
        exchange(STRING, {}),
        json.loads(json.dumps(exchange({**STRING, "maxLength": 9}, {})).replace('"x": {"type', '"y": {"type')),
    )
    changes = difference(*(Revision.of(document, surface) for document in (old, new)))
    assert [(*said(change), change.names) for change in changes] == [
        (BREAKING, "bound changed: y: maxLength none → 9", ("client.thing.make(y=...)",)),
        (ADDITIVE, "keyword renamed: y", ("client.thing.make(x=...)",)),
    ]
    told = "`client.thing.make(x=...)` is now `y`: the old name still works, with a `DeprecationWarning`."
    assert told in report.markdown(changes)
    surface["POST /make-thing"].pop("renamed")
    without = difference(*(Revision.of(document, surface) for document in (old, new)))
    assert (BREAKING, "keyword removed: x") in map(said, without)


@pytest.mark.parametrize(
    ("old", "new", "sent", "answered"),
    [
        (STRING, {"type": "integer"}, BREAKING, BREAKING),
        ({"type": "integer"}, {"type": "number"}, ADDITIVE, BREAKING),
        ({"type": "number"}, {"type": "integer"}, BREAKING, ADDITIVE),
        (STRING, {**STRING, "nullable": True}, ADDITIVE, INTERNAL),
        ({**STRING, "nullable": True}, STRING, BREAKING, INTERNAL),
        ({**STRING, "enum": ["a"]}, {**STRING, "enum": ["a", "b"]}, ADDITIVE, ADDITIVE),
        ({**STRING, "enum": ["a", "b"]}, {**STRING, "enum": ["a"]}, BREAKING, BREAKING),
        ({**STRING, "enum": ["a"]}, STRING, ADDITIVE, INTERNAL),
        ({"enum": [{"a": 1}, ["b"]]}, {"enum": [{"a": 1}, ["b"], ["c"]]}, ADDITIVE, ADDITIVE),
        ({"type": "object"}, {"type": "object", "enum": [{"a": 1}]}, BREAKING, INTERNAL),
        (STRING, {**STRING, "enum": ["a"]}, BREAKING, INTERNAL),
        ({"type": "integer", "maximum": 5}, {"type": "integer", "maximum": 9}, ADDITIVE, INTERNAL),
        ({"type": "integer", "maximum": 9}, {"type": "integer", "maximum": 5}, BREAKING, INTERNAL),
        ({"type": "integer", "minimum": 1}, {"type": "integer"}, ADDITIVE, INTERNAL),
        (STRING, {**STRING, "minLength": 1}, BREAKING, INTERNAL),
        (STRING, {**STRING, "pattern": "^a"}, BREAKING, INTERNAL),
        ({**STRING, "default": "a"}, {**STRING, "default": "b"}, BREAKING, INTERNAL),
        (STRING, {**STRING, "default": "b"}, ADDITIVE, INTERNAL),
        ({"type": "boolean", "default": False}, {"type": "boolean"}, ADDITIVE, INTERNAL),
        (STRING, {**STRING, "deprecated": True}, ADDITIVE, ADDITIVE),
        ({**STRING, "deprecated": True}, STRING, ADDITIVE, ADDITIVE),
        ({"type": "array", "items": STRING}, {"type": "array", "items": {"type": "integer"}}, BREAKING, BREAKING),
        ({"type": "number", "minimum": 1}, {"type": "number", "minimum": 1, "exclusiveMinimum": True}, BREAKING, INTERNAL),
        ({"type": "integer"}, {"type": "integer", "multipleOf": 5}, BREAKING, INTERNAL),
        (STRING, {**STRING, "format": "binary"}, BREAKING, BREAKING),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}, BREAKING, BREAKING),
        ({"oneOf": [STRING, {"type": "integer"}]}, {"oneOf": [STRING, {"type": "integer", "minimum": 1}]}, BREAKING, INTERNAL),
        ({"oneOf": [STRING, {"type": "array"}]}, {"oneOf": [{**STRING, "pattern": "^a"}, {"type": "array"}]}, BREAKING, INTERNAL),
        (
            {"oneOf": [{**STRING, "enum": ["a", "b"]}, {"type": "integer"}]},
            {"oneOf": [{**STRING, "enum": ["a"]}, {"type": "integer"}]},
            *(BREAKING, BREAKING),
        ),
        ({"properties": {"y": STRING}}, {"properties": {"y": STRING}, "minProperties": 1}, BREAKING, INTERNAL),
    ],
)
def test_how_a_change_of_a_field_is_classed(old: Json, new: Json, sent: Impact, answered: Impact) -> None:
    found = both(old, new)
    assert (found["sent"], found["answered"]) == (sent, answered)


def test_a_value_that_is_never_answered_any_more_is_told_to_those_who_wait_for_it() -> None:
    old, new = (of(exchange(field, field)) for field in ({**STRING, "enum": ["a", "b"]}, {**STRING, "enum": ["a"]}))
    told = report.markdown(difference(old, new))
    assert '`client.thing.make(x=...)` no longer takes `"b"`. Send another value.' in told
    remedy = "Look for code that compares with it, or waits for it: that would be for ever."
    assert f'`MakeThingResponse.x` is never `"b"` any more. {remedy}' in told


def test_requiredness_goes_the_other_way_round_in_answers() -> None:
    loose, strict = (Revision.of(exchange(STRING, STRING, required), {}) for required in ((), ("x",)))
    assert {said(change) for change in difference(loose, strict)} == {(BREAKING, "keyword required: x"), (ADDITIVE, "field required: x")}
    assert {said(change) for change in difference(strict, loose)} == {(ADDITIVE, "keyword optional: x"), (BREAKING, "field optional: x")}


def test_a_list_that_gets_pages_goes_on_being_iterated() -> None:
    bare = {"type": "array", "items": STRING}
    page = {"type": "object", "properties": {"items": bare, "has_more": {"type": "boolean"}}, "required": ["items", "has_more"]}

    def listing(answer: Json) -> Revision:
        document = exchange(STRING, STRING)
        operation = document["paths"]["/make-thing"]["post"]
        operation["responses"]["200"]["content"]["application/json"]["schema"] = answer
        operation["parameters"] = [{"in": "query", "name": "pagination_key", "schema": STRING}]
        return Revision.of(document, {})

    changes = [change for change in difference(listing(bare), listing(page)) if change.subject != "class"]
    assert [said(change) for change in changes] == [(BREAKING, "list changed: answers with a bare array → pages")]
    back = [change for change in difference(listing(page), listing(bare)) if change.subject != "class"]
    assert [said(change) for change in back] == [(BREAKING, "list changed: answers with pages → a bare array")]


def test_a_deprecated_operation_is_named() -> None:
    old, new = Revision.of(exchange(STRING, STRING), {}), Revision.of(exchange(STRING, STRING, deprecated=True), {})
    (change,) = difference(old, new)
    assert (*said(change), change.names) == (ADDITIVE, "operation deprecated: POST /make-thing", ("client.thing.make",))
    (change,) = difference(new, old)
    assert (*said(change), change.names) == (ADDITIVE, "operation kept: POST /make-thing", ("client.thing.make",))


def of(document: Json, surface: Json | None = None) -> Revision:
    return Revision.of(document, surface or {})


def test_what_may_be_repeated_and_how_long_it_takes_comes_first() -> None:
    document = exchange(STRING, STRING)
    key = "POST /make-thing"
    before, after = ({key: {"methods": ["thing.make"], **said}} for said in ({"repeat": "unsafe", "timeout": 9}, {"repeat": "safe"}))
    document["servers"] = [{"url": "https://a.test"}]
    moved = {**exchange(STRING, STRING, deprecated=True), "servers": [{"url": "https://b.test"}]}
    assert [said(change) for change in difference(of(document, before), of(moved, after))] == [
        (BREAKING, 'repeat changed: POST /make-thing: repeat "unsafe" → "safe"'),
        (BREAKING, "repeat changed: POST /make-thing: timeout 9 → none"),
        (BREAKING, "server changed: https://a.test → https://b.test"),
        (ADDITIVE, "operation deprecated: POST /make-thing"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("deletion", "money", "deletion → money"),
        ("money", {}, "money → nothing"),
        ({"x": "money"}, "money", "money where x is given → money"),
    ],
)
def test_what_is_asked_before_it_is_told_beside_repeats(before: Any, after: Any, told: str) -> None:
    surfaces = [{"POST /make-thing": {"methods": ["thing.make"], "repeat": "unsafe", "asks": asks}} for asks in (before, after)]
    document = exchange(STRING, STRING)
    changes = difference(*(of(document, surface) for surface in surfaces))
    assert [said(change) for change in changes] == [(BREAKING, f"question changed: POST /make-thing: asks about {told}")]
    assert "Look who says yes before it is carried out" in report.markdown(changes)


def test_kinds_of_bodies_and_fields_that_exclude_each_other_are_seen() -> None:
    old, new = exchange(STRING, STRING), exchange(STRING, STRING)
    request = new["paths"]["/make-thing"]["post"]["requestBody"]
    request["content"] = {"multipart/form-data": request["content"].pop("application/json")}
    assert [said(change) for change in difference(of(old), of(new))] == [
        (BREAKING, "operation changed: POST /make-thing: takes application/json → multipart/form-data")
    ]
    both_, one = exchange(STRING, STRING), exchange(STRING, STRING)
    for made in (both_, one):
        made["paths"]["/make-thing"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["y"] = STRING
    one["paths"]["/make-thing"]["post"]["requestBody"]["content"]["application/json"]["schema"]["not"] = {"required": ["x", "y"]}
    assert [said(change) for change in difference(of(both_), of(one))] == [(BREAKING, "keyword changed: x and y exclude each other")]
    text = exchange(STRING, STRING)
    text["paths"]["/make-thing"]["post"]["responses"]["200"]["content"] = {"text/csv": {"schema": STRING}}
    assert (BREAKING, "type changed: the answer: json → text") in {said(change) for change in difference(of(old), of(text))}


def fields_(*names: str) -> Json:
    return {"type": "object", "properties": dict.fromkeys(names, STRING)}


@pytest.mark.parametrize(
    ("place", "impact"), [("sent", BREAKING), ("held", BREAKING), ("answered", INTERNAL)], ids=["body", "inside", "answer"]
)
def test_an_object_that_takes_no_other_fields_any_more_is_seen(place: str, impact: Impact) -> None:
    def made(**beside: Any) -> Json:
        closed: Json = {**fields_("y"), **beside}
        document = exchange(closed if place == "held" else STRING, closed if place == "answered" else STRING)
        if place == "sent":
            document["paths"]["/make-thing"]["post"]["requestBody"]["content"]["application/json"]["schema"] |= beside
        return document

    closing = [(one.impact, one.what) for one in difference(of(made()), of(made(additionalProperties=False)))]
    assert closing == [(impact, "no field but these may be there")]
    opening = [(one.impact, one.what) for one in difference(of(made(additionalProperties=False)), of(made()))]
    assert opening == [(ADDITIVE if impact is BREAKING else impact, "no field but these may be there no longer")]


@pytest.mark.parametrize(
    ("before", "after", "impact"),
    [
        ("PATCH /update-thing", "PUT /update-thing", BREAKING),
        ("GET /list-things", "DELETE /list-things", BREAKING),
        ("GET /list-things", "POST /v2/list-things", BREAKING),
        ("POST /stop-thing", "POST /v2/things/dial", BREAKING),
        ("POST /stop-thing", "POST /v2/stop-thing", INTERNAL),
    ],
)
def test_a_method_that_sends_another_request_says_so(before: str, after: str, impact: Impact) -> None:
    sides = []
    for key in (before, after):
        document = exchange(STRING, STRING)
        method, _, path = key.partition(" ")
        document["paths"] = {path: {method.lower(): document["paths"]["/make-thing"]["post"]}}
        sides.append(of(document, {key: {"methods": ["thing.do"], "repeat": "unsafe"}}))
    (change,) = [one for one in difference(*sides) if one.subject == "operation"]
    assert (change.impact, change.what, change.names) == (impact, f"{before} → {after}", ("client.thing.do",))
    told = report.markdown([change], internal=True)
    assert told.endswith(f"is another request: `{change.what}`. Look whether it still does what you call it for.") == (impact is BREAKING)


def test_what_an_array_and_a_map_hold_are_seen_both() -> None:
    def made(*fields: str) -> Json:
        union = {"oneOf": [{"type": "array", "items": STRING}, {"type": "object", "additionalProperties": fields_(*fields)}]}
        return exchange(union, STRING)

    assert [said(one) for one in difference(of(made("y", "z")), of(made("y")))] == [(BREAKING, "field removed: z")]


def test_the_next_version_takes_the_names_over() -> None:
    document = exchange(STRING, STRING)
    surface = {"POST /make-thing": {"id": "makeThing", "methods": ["thing.make"]}}
    older = exchange(STRING, STRING, deprecated=True)["paths"]["/make-thing"]
    newer = {**document, "paths": {"/make-thing": older, "/v2/make-thing": document["paths"]["/make-thing"]}}
    old, new = of(adopted(document, surface), surface), of(adopted(newer, surface), surface)
    changes = [change for change in difference(old, new) if change.subject == "operation"]
    assert {change.impact for change in changes} == {ADDITIVE}
    assert report.markdown(changes).splitlines()[2:] == [
        "    - `client.thing.make_v1`: `POST /make-thing`.",
        "    - `client.thing.make_v1` is deprecated: `POST /make-thing` will end.",
        "    - `client.thing.make`: `POST /make-thing → POST /v2/make-thing`.",
    ]
    ends = "client.thing.make_v1 is deprecated: the API will end POST /make-thing. Use client.thing.make instead."
    assert retired(new.prepared, new.entries, {}) == {"thing.make_v1": ends}
    copied = surface | {"POST /v2/make-thing": surface["POST /make-thing"]}
    looked_at = of(adopted(newer, copied), copied)
    assert retired(looked_at.prepared, looked_at.entries, {}) == {"thing.make_v1": ends}
    alone = of(adopted({**document, "paths": {"/v2/make-thing": older}}, surface), surface)
    assert [(*said(change), change.names) for change in difference(old, alone) if change.action == "renamed"] == [
        (INTERNAL, "operation renamed: POST /make-thing → POST /v2/make-thing", ("client.thing.make",))
    ]


def test_a_body_of_another_name_is_a_class_of_another_name() -> None:
    old, new = exchange(STRING, STRING), exchange(STRING, STRING)
    for made, name in ((old, "Sent"), (new, "Given")):
        (media,) = made["paths"]["/make-thing"]["post"]["requestBody"]["content"].values()
        made["components"] = {"schemas": {name: media["schema"]}}
        media["schema"] = {"$ref": f"#/components/schemas/{name}"}
    assert [(*said(one), one.names) for one in difference(of(old), of(new))] == [
        (BREAKING, "class renamed: Sent → Given", ("types.Sent → types.Given",))
    ]


def test_the_same_in_the_newer_dialect_is_no_change() -> None:
    newer = {**mutations._newer(revisions.PART), "openapi": "3.1.0"}
    assert newer["components"] != revisions.PART["components"]
    assert difference(whole(revisions.PART), whole(newer)) == []


CHANGES = [
    Change(BREAKING, "keyword", "removed", "a", tuple(f"client.x.m{n}(a=...)" for n in range(6)), ("x",)),
    Change(ADDITIVE, "value", "added", "b: 'c'", ("X.b",)),
    Change(INTERNAL, "document", "changed", "info.version: 1 → 2", ()),
]


def test_reports_for_readers_and_robots() -> None:
    markdown = report.markdown(CHANGES, {"POST /y": "/paths/~1y: odd"})
    names = ", ".join(f"`client.x.m{n}(a=...)`" for n in range(4))
    assert markdown.splitlines() == [
        "- Breaking (1):",
        "  - `client.x`",
        f"    - {names}, and 2 more is gone. Neither send it nor read it.",
        "- New (1):",
        "  - several resources",
        "    - `X.b` may be `'c'`.",
        f"- Left out (1); {report._SENDS}:",
        "  - `POST /y`: `/paths/~1y: odd`",
    ]
    why = "/paths/~1y: client.x.copy is taken: name it in openapi/surface.yaml, such as POST /y: {methods: [x.copy_]}"
    assert f"`{why}`" in report.markdown([], {"POST /y": why})
    assert report.markdown([], {"POST /y": why}, most=2).endswith("\n  - `POST /y`: `/paths/~1y: client.x.copy is taken`")
    assert report.to_look_at(["note: `a`"]) == "## To look at\n\n- `note: 'a'`"
    assert report.markdown([CHANGES[0]] * 3, most=2).splitlines()[-1] == "    - and 1 more."
    assert report.summary(CHANGES) == "1 breaking, 1 additive, 1 internal"
    assert report.markdown(CHANGES[2:], internal=True).splitlines() == ["- Internal (1):", "  - the client", "    - `info.version: 1 → 2`."]
    assert [report.status(some) for some in (CHANGES, CHANGES[1:], CHANGES[2:], [])] == [4, 3, 0, 0]
    assert Counter(change.impact for change in CHANGES) == report.counts(CHANGES)


def test_an_answer_that_is_another_or_may_be_empty_is_told() -> None:
    old, new, empty = exchange(STRING, STRING), exchange(STRING, STRING), exchange(STRING, STRING)
    for made, names in ((old, ("a",)), (new, ("a", "b"))):
        members = [{"type": "object", "properties": {"type": {"type": "string", "enum": [name]}}, "required": ["type"]} for name in names]
        answer = made["paths"]["/make-thing"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        answer["properties"]["x"] = members[0] if len(members) == 1 else {"oneOf": members}
    assert BREAKING in {change.impact for change in difference(of(old), of(new)) if change.subject == "type"}
    empty["paths"]["/make-thing"]["post"]["responses"]["204"] = {"description": ""}
    changes = difference(of(exchange(STRING, STRING)), of(empty))
    assert [said(change) for change in changes] == [(BREAKING, "type added: the answer: null")]


def test_what_members_are_told_apart_by_is_told() -> None:
    def made(tag: str, *values: str) -> Revision:
        document = exchange(STRING, {"$ref": "#/components/schemas/Pet"})
        members = {name: {"type": "object", "properties": dict.fromkeys(("kind", "sort", name), STRING)} for name in ("Cat", "Dog")}
        discriminator = {"propertyName": tag, "mapping": dict(zip(values, members, strict=True))}
        union = {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in members], "discriminator": discriminator}
        document["components"]["schemas"] = {**members, "Pet": union}
        return of(document)

    assert difference(made("kind", "cat", "dog"), made("kind", "cat", "dog")) == []
    assert [said(one) for one in difference(made("kind", "cat", "dog"), made("kind", "dog", "cat"))] == [
        (BREAKING, "type changed: x: Cat is ['cat'] → ['dog']"),
        (BREAKING, "type changed: x: Dog is ['dog'] → ['cat']"),
    ]
    assert [said(one) for one in difference(made("kind", "cat", "dog"), made("sort", "cat", "dog"))] == [
        (BREAKING, "type changed: x: told apart by kind → sort")
    ]


def test_what_is_given_by_place_is_told() -> None:
    documents = []
    for path in ("/do-thing/{a}/{b}", "/do-thing/{b}/{a}"):
        document = exchange(STRING, STRING)
        document["paths"] = {path: document["paths"]["/make-thing"]}
        documents.append(of(document, {f"POST {path}": {"methods": ["thing.do"], "repeat": "unsafe"}}))
    assert (BREAKING, "keyword changed: given by place: ['b'] → ['a']") in map(said, difference(*documents))


def test_how_something_is_written_is_told() -> None:
    plain, written = exchange(STRING, STRING), exchange(STRING, STRING)
    parameter = {"in": "query", "name": "q", "schema": {"type": "array", "items": STRING}}
    plain["paths"]["/make-thing"]["post"]["parameters"] = [parameter]
    written["paths"]["/make-thing"]["post"]["parameters"] = [{**parameter, "style": "pipeDelimited", "explode": False}]
    assert [said(one) for one in difference(of(plain), of(written))] == [
        (INTERNAL, "keyword changed: q: sent in the query → query as pipe")
    ]


def test_authentication_webhooks_and_places_are_told() -> None:
    old, new = exchange(STRING, STRING), exchange(STRING, STRING)
    for made, place, scheme in (
        (old, "query", {"type": "http", "scheme": "bearer"}),
        (new, "header", {"type": "apiKey", "in": "header", "name": "K"}),
    ):
        made["security"], made["components"] = [{"key": []}], {"securitySchemes": {"key": scheme}}
        made["paths"]["/make-thing"]["post"]["parameters"] = [{"in": place, "name": "q", "schema": STRING}]
    new["webhooks"] = {"called": {"post": {"responses": {}}}}
    assert [said(change) for change in difference(of(old), of(new))] == [
        (BREAKING, "authentication changed: http bearer → apiKey header K"),
        (ADDITIVE, "document changed: webhooks, which are not generated: called"),
        (INTERNAL, "keyword changed: q: sent in the query → header"),
    ]


def test_a_keyword_that_is_sent_elsewhere_under_another_name_is_the_same_keyword() -> None:
    def made(*headers: str) -> Revision:
        document, own = exchange(STRING, {}), {} if headers else {"from": STRING, "trace_id": STRING}
        said = document["paths"]["/make-thing"]["post"]
        said["requestBody"]["content"]["application/json"]["schema"]["properties"] |= own
        said["parameters"] = [{"in": "header", "name": name, "schema": {**STRING, "maxLength": 9}} for name in headers]
        return of(document)

    assert [(*said(one), one.names) for one in difference(made(), made("From", "Trace-Id"))] == [
        (BREAKING, "bound changed: From: maxLength none → 9", ("client.thing.make(from_=...)",)),
        (BREAKING, "bound changed: Trace-Id: maxLength none → 9", ("client.thing.make(trace_id=...)",)),
        (INTERNAL, "keyword changed: from_: sent in the body from → header From", ("client.thing.make",)),
        (INTERNAL, "keyword changed: trace_id: sent in the body → header Trace-Id", ("client.thing.make",)),
    ]


def test_a_document_that_no_longer_says_where_the_api_is_is_told() -> None:
    old = exchange(STRING, STRING) | {"servers": [{"url": "https://api.retellai.com"}]}
    assert [said(one) for one in difference(of(old), of(exchange(STRING, STRING)))] == [(INTERNAL, "document changed: servers: 1 → none")]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [([{"a": []}], [{}, {"a": []}], "http bearer → http bearer or nothing"), ([{"a": []}], [], "http bearer → nothing"), ([], [{}], None)],
)
def test_authentication_that_may_be_left_out_is_told(before: list[Json], after: list[Json], told: str | None) -> None:
    sides = []
    for security in (before, after):
        document = exchange(STRING, STRING) | {"security": security}
        document["components"] = {"securitySchemes": {"a": {"type": "http", "scheme": "bearer"}}}
        sides.append(of(document))
    assert [said(one) for one in difference(*sides)] == ([(BREAKING, f"authentication changed: {told}")] if told else [])


def test_a_method_that_an_older_version_takes_over_is_not_gone() -> None:
    older, newer = exchange(STRING, STRING), exchange(STRING, STRING)
    item = newer["paths"].pop("/make-thing")
    newer["paths"] = {"/make-thing": item, "/v2/make-thing": {"post": {**item["post"], "operationId": "makeThingV2"}}}
    told = [(said(change)[1], change.names) for change in difference(of(newer), of(older)) if change.subject == "operation"]
    assert told == [
        ("operation moved: POST /v2/make-thing → POST /make-thing", ("client.thing.make",)),
        ("operation renamed: POST /make-thing", ("client.thing.make_v1 → client.thing.make",)),
    ]


def test_authentication_in_other_words_is_the_same() -> None:
    old, new = exchange(STRING, STRING), exchange(STRING, STRING)
    key = {"type": "apiKey", "in": "header", "name": "K"}
    one: Json = {"a": []}
    for made, word, ways in ((old, "bearer", [one, {"b": [], "a": []}]), (new, "Bearer", [{"a": [], "b": []}, one])):
        made["security"], made["components"] = ways, {"securitySchemes": {"a": {"type": "http", "scheme": word}, "b": key}}
    assert difference(of(old), of(new)) == []


def test_what_is_required_without_a_description_is_a_field() -> None:
    new = exchange(STRING, STRING, required=("x",))
    body = new["paths"]["/make-thing"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body["required"] = ["token"]
    assert (BREAKING, "keyword added: token, required") in {said(change) for change in difference(of(exchange(STRING, STRING)), of(new))}


def test_a_list_of_fields_of_which_one_is_needed_is_told() -> None:
    new = exchange(STRING, STRING)
    schema = new["paths"]["/make-thing"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema |= {"anyOf": [{"required": ["x"]}, {"required": ["y"]}], "unevaluatedProperties": False}
    assert (BREAKING, "keyword changed: x or y has to be there") in {
        said(change) for change in difference(of(exchange(STRING, STRING)), of(new))
    }
