"""What our files know of an operation goes along with it: under another path, under another id, in its next version."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen import surface as surface_module, words
from codegen.document import Json, by_key, dump
from codegen.generate import pinned
from codegen.prepare import prepare
from codegen.surface import adopted, entries, known
from retell_async._engine.idempotency import new_key

from .small import INTEGER, STRING, content, document, object_, operation

SURFACE: Json = {
    "POST /v2/create-call": {"id": "createCall", "methods": ["call.create"], "repeat": "idempotency_key", "timeout": 120, "limit": "calls"},
    "POST /v3/list-calls": {"id": "listCalls", "methods": ["call.list"], "repeat": "safe"},
    "PATCH /v2/update-live/{id}": {"id": "updateLive", "methods": ["call.update_live"], "repeat": "unsafe"},
    "PUT /replace-thing/{id}": {"id": "replaceThing", "methods": ["thing.replace"], "repeat": "safe"},
    "GET /list-agents": {"id": "listAgents", "methods": ["agent.list"], "repeat": "safe"},
}


def having(**said: str) -> Json:
    """A document with these operations, which take an idempotency key: id, and ``METHOD /path`` behind it."""
    paths: Json = {}
    for id, key in said.items():
        method, _, path = key.partition(" ")
        paths.setdefault(path, {})[method.lower()] = operation(id, requestBody=content(object_(idempotency_key=STRING)))
    return document(paths)


@pytest.mark.parametrize(
    "said",
    [
        {"createCall": "POST /v2/create-call"},
        {"createCall": "POST /v3/create-call"},
        {"createCallV3": "POST /v3/create-call"},
        {"createCallAnew": "POST /v2/create-call"},
        {"createCall": "POST /place-call"},
    ],
)
def test_all_that_is_known_goes_along(said: dict[str, str]) -> None:
    made = adopted(having(**said), SURFACE)
    ((key, entry),) = entries(made, SURFACE).items()
    assert [*entry.methods] == ["call.create"]
    assert (entry.repeat, entry.timeout, entry.limit) == ("idempotency_key", 120, "calls")
    assert entry.named is (key in SURFACE)
    (item,) = made["paths"].values()
    assert (item["post"]["operationId"], item["post"]["x-known-as"]) == ("createCall", "POST /v2/create-call")
    assert adopted(made, SURFACE) == made


@pytest.mark.parametrize(
    ("field", "repeat"),
    [
        ({**STRING, "minLength": 5, "maxLength": 255, "pattern": "^[A-Za-z0-9_-]+$"}, "idempotency_key"),
        ({**STRING, "maxLength": 64}, "unsafe"),  # a key that carries a trace is longer
        ({**STRING, "maxLength": 20}, "unsafe"),
        ({**STRING, "minLength": 64}, "unsafe"),
        ({**STRING, "pattern": "^[0-9]+$"}, "unsafe"),
        ({**STRING, "pattern": r"\p{L}"}, "idempotency_key"),
        ({**STRING, "pattern": "^([A-Za-z0-9-]+)+!$"}, "unsafe"),  # at which Python's engine would try for ever
        ({**STRING, "pattern": "("}, "unsafe"),
        ({**STRING, "format": "uuid"}, "unsafe"),
        ({**STRING, "enum": ["a"]}, "unsafe"),
        ({**STRING, "readOnly": True}, "unsafe"),
        (INTEGER, "unsafe"),
        (None, "unsafe"),
    ],
)
def test_a_key_is_relied_on_where_the_body_takes_one_of_ours(field: Json | None, repeat: str) -> None:
    made = having(createCall="POST /v2/create-call")
    said = made["paths"]["/v2/create-call"]["post"]
    said["requestBody"] = content(object_(a=STRING) if field is None else object_(idempotency_key=field))
    said["parameters"] = [{"in": "header", "name": "idempotency_key", "schema": STRING}]
    assert entries(made, SURFACE)["POST /v2/create-call"].repeat == repeat


def test_the_keys_that_are_tried_are_as_long_as_those_that_are_sent() -> None:
    trace = f"00-{'1' * 32}-{'1' * 16}-01"
    assert [len(key) for key in surface_module._KEYS] == [len(new_key()), len(new_key(trace))]


def test_what_does_many_at_once_is_another_thing() -> None:
    made = adopted(having(one="POST /v2/create-call", many="POST /v3/create-calls"), SURFACE)
    assert {key: (entry.methods[0], entry.repeat) for key, entry in entries(made, SURFACE).items()} == {
        "POST /v2/create-call": ("call.create", "idempotency_key"),
        "POST /v3/create-calls": ("call.create_calls", "unsafe"),
    }


@pytest.mark.parametrize("key", ["PUT /purchase-credits", "GET /describe-agents", "GET /buy-it"])
def test_what_was_safe_is_not_so_of_another_thing(key: str) -> None:
    surface = {key: {"tool": "replace", **said} if said.get("id") == "replaceThing" else said for key, said in SURFACE.items()}
    (entry,) = entries(adopted(having(replaceThing=key), surface), surface).values()
    assert (entry.methods[0], entry.repeat) == ("thing.replace", "unsafe")
    assert (entry.effect, entry.asks, entry.tool) == ("write", {"": "money"}, None)  # nobody has said that it is free


def test_the_newest_version_has_the_names() -> None:
    made = adopted(having(listCalls="POST /v3/list-calls", listCallsV4="POST /v4/list-calls", old="GET /list-calls"), SURFACE)
    assert {key: entry.methods[0] for key, entry in entries(made, SURFACE).items()} == {
        "POST /v3/list-calls": "call.list_v3",
        "POST /v4/list-calls": "call.list",
        "GET /list-calls": "call.list_v1",
    }
    ids = {path: said["operationId"] for path, item in made["paths"].items() for said in item.values()}
    assert ids == {"/v3/list-calls": "listCallsV3", "/v4/list-calls": "listCalls", "/list-calls": "listCallsV1"}


V3, V4 = "POST /v3/list-calls", "POST /v4/list-calls"


@pytest.mark.parametrize("keys", [(V3,), (V4,), (V3, V4)])
def test_the_surface_may_name_whichever_version(keys: tuple[str, ...]) -> None:
    said = dict.fromkeys(keys, SURFACE[V3])
    made = adopted(having(listCalls=V3, listCallsAnew=V4), said)
    found = entries(made, said)
    assert {key: str(entry.methods[0]) for key, entry in found.items()} == {V3: "call.list_v3", V4: "call.list"}
    assert {key for key, entry in found.items() if entry.named} == {*keys}
    assert [by_key(made)[key]["operationId"] for key in (V3, V4)] == ["listCallsV3", "listCalls"]


@pytest.mark.parametrize("named", [(V3,), (V4,), (V3, V4)])
@pytest.mark.parametrize("there", [(V3,), (V4,), (V3, V4)])
def test_words_and_facts_follow_whichever_the_surface_names(tmp_path: Path, there: tuple[str, ...], named: tuple[str, ...]) -> None:
    (tmp_path / "docs").mkdir()
    about = {V3: {"text": "Lists.", "parameters": {"version": {"unit": "weeks"}}}}
    files = {"surface": dict.fromkeys(named, SURFACE[V3]), "overlay": {"overlay": "1.0.0"}, "docs/operations": about}
    for name, data in files.items():
        (tmp_path / f"{name}.yaml").write_text(dump(data), encoding="utf-8")
    facts = having(**{key: key for key in there})
    for said in by_key(facts).values():
        said["parameters"] = [{"in": "query", "name": "version", "schema": {**INTEGER}}]
    told: list[str] = []
    prepared = prepare(pinned(tmp_path, facts, told=told))
    words.lay(prepared, words.load(tmp_path / "docs"))
    for said in by_key(prepared).values():
        assert [words.about(one) for one in (said, said["parameters"][0]["schema"])] == ["Lists.", "Weeks."]
    lost = [key for key in named if key not in there and len(named) > 1]
    assert told == [f"openapi/surface.yaml: the document has no {key}, or openapi/left_out.yaml has it" for key in lost]


@pytest.mark.parametrize("key", ["POST /place-call", "POST /v2/create-call", "POST /v3/create-call"])
def test_words_and_facts_follow_an_id_and_tell_what_is_gone(key: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    about = {"text": "Calls.", "parameters": {"version": {"text": "Which.", "default": "latest"}, "gone": "Of nothing."}}
    files = {"surface": SURFACE, "overlay": {"overlay": "1.0.0"}, "docs/operations": {"POST /v2/create-call": about}}
    for name, data in files.items():
        (tmp_path / f"{name}.yaml").write_text(dump(data), encoding="utf-8")
    facts = having(createCall=key)
    (said,) = by_key(facts).values()
    said["parameters"] = [{"in": "query", "name": name, "schema": {**STRING}} for name in ("alpha", "version")]
    told: list[str] = []
    prepared = prepare(pinned(tmp_path, facts, told=told))
    words.lay(prepared, words.load(tmp_path / "docs"))
    (said,) = by_key(prepared).values()
    assert [words.about(one["schema"]) for one in said["parameters"]] == ["", "Which. Default: latest."]
    assert [line for line in told if "surface" not in line] == ["openapi/docs: nothing is at POST /v2/create-call: gone"]


def test_a_list_that_is_asked_for_otherwise_is_the_same_list() -> None:
    """It is safe by what it says itself, that it lists, and not by what another HTTP method did."""
    made = having(x="POST /v2/list-agents")
    (before,) = entries(made, SURFACE).values()
    made["paths"]["/v2/list-agents"]["post"]["responses"]["200"] |= content(object_(things={"type": "array", "items": STRING}))
    (entry,) = entries(made, SURFACE).values()
    assert [(one.methods[0], one.repeat) for one in (before, entry)] == [("agent.list", "unsafe"), ("agent.list", "safe")]


def test_what_was_safe_is_not_so_under_another_method() -> None:
    made = adopted(having(replaceThing="POST /replace-thing/{id}"), SURFACE)
    (entry,) = entries(made, SURFACE).values()
    assert (entry.methods[0], entry.repeat) == ("thing.replace", "unsafe")


@pytest.mark.parametrize("key", ["POST /delete-thing/{t}", "POST /v2/things/{t}/delete", "GET /get-thing/{t}", "DELETE /things/{t}"])
def test_what_deletes_deletes_and_asks_under_any_method(key: str) -> None:
    surface: Json = {"DELETE /delete-thing/{t}": {"id": "deleteThing", "methods": ["thing.delete"], "repeat": "safe"}}
    (entry,) = entries(adopted(having(deleteThing=key), surface), surface).values()
    assert (entry.methods, entry.effect, entry.asks) == (("thing.delete",), "delete", {"": "deletion"})


@pytest.mark.parametrize("key", ["POST /list-agents", "POST /v2/list-agents"])
def test_what_has_the_path_of_what_reads_and_another_method_says_of_itself_whether_it_does(key: str) -> None:
    found = entries(having(x="GET /list-agents", y=key), SURFACE)
    assert (found["GET /list-agents"].repeat, found[key].repeat) == ("safe", "unsafe")


def test_what_only_begins_alike_is_something_else() -> None:
    assert known(having(a="GET /list-agents/{id}", b="POST /list-agents-of-others", c="DELETE /v2/update-live/{id}"), SURFACE) == {}


def test_an_operation_without_an_id_gets_one() -> None:
    given = having(x="GET /get-agent/{agent_id}")
    del given["paths"]["/get-agent/{agent_id}"]["get"]["operationId"]
    assert adopted(given, SURFACE)["paths"]["/get-agent/{agent_id}"]["get"]["operationId"] == "getGetAgentAgentId"


def test_an_id_that_another_operation_has_is_not_taken_again() -> None:
    paths = {
        f"/{name}": {"get": operation(said)} for name, said in (("a", "listCalls"), ("b", "list_calls"), ("c", "other"), ("d", "Other"))
    }
    made = adopted(document({**paths, "/v3/list-calls": {"post": operation("listCalls")}}), SURFACE)
    ids = {path: said["operationId"] for path, item in made["paths"].items() for said in item.values()}
    assert ids == {"/v3/list-calls": "listCalls", "/a": "getA", "/b": "getB", "/c": "other", "/d": "getD"}


def versions(*paths: str) -> Json:
    """A document in which each of these takes a body of its version, and answers with what another operation answers with too."""
    answer = content({"$ref": "#/components/schemas/V2Call"})
    paths_: Json = {"/get-call": {"get": operation("getCall", {"$ref": "#/components/schemas/V2Call"})}}
    schemas: Json = {"V2Call": object_(a=STRING)}
    for path in paths:
        name = f"{path[1:3].upper()}ListCallsRequest"
        schemas[name] = object_(limit=INTEGER | {})
        body = content({"$ref": f"#/components/schemas/{name}"})
        paths_[path] = {"post": operation("listCalls", requestBody=body) | {"responses": {"200": {"description": "", **answer}}}}
    return document(paths_, schemas)


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        (["/v3/list-calls"], {"Call", "ListCallsRequest"}),
        (["/v3/list-calls", "/v4/list-calls"], {"Call", "ListCallsRequest", "V3ListCallsRequest"}),
        (["/v4/list-calls"], {"Call", "ListCallsRequest"}),
    ],
)
@pytest.mark.parametrize("named", [(V3,), (V4,), (V3, V4)])
def test_what_is_known_of_a_class_goes_along_with_its_operation(
    paths: list[str], classes: set[str], named: tuple[str, ...], tmp_path: Path
) -> None:
    target = "$.components.schemas."
    said = {
        "surface": dict.fromkeys(named, SURFACE[V3]),
        "docs/calls": {"ListCallsRequest": {"": "Which calls.", "limit": {"text": "How many.", "unit": "calls"}}},
        "overlay": {
            "overlay": "1.0.0",
            "actions": [
                {"target": f"{target}V3ListCallsRequest", "update": {"x-name": "ListCallsRequest"}},
                {"target": f"{target}V2Call", "update": {"x-name": "Call"}},
            ],
        },
    }
    (tmp_path / "docs").mkdir()
    for name, data in said.items():
        (tmp_path / f"{name}.yaml").write_text(dump(data), encoding="utf-8")
    told: list[str] = []
    prepared = prepare(pinned(tmp_path, versions(*paths), told=told))
    words.lay(prepared, words.load(tmp_path / "docs"))
    schemas = prepared["components"]["schemas"]
    assert (set(schemas), [line for line in told if "surface" not in line]) == (classes, [])
    newest = prepared["paths"][paths[-1]]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert newest["$ref"].endswith("/ListCallsRequest")
    for name in {*schemas} - {"Call"}:
        assert [words.about(one) for one in (schemas[name], schemas[name]["properties"]["limit"])] == ["Which calls.", "How many. Calls."]
