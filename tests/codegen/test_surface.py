from __future__ import annotations

from pathlib import Path

import pytest

from codegen import reserved
from codegen.document import Json
from codegen.surface import adopted, entries, relied_on

from .small import STRING, array, document, object_, operation, refused

SURFACE: Json = {
    "GET /get-phone-number/{n}": {"methods": ["phone_number.retrieve", "number.get"], "repeat": "safe", "timeout": 9},
    "GET /list-agents": {"methods": ["agent.list"]},
    "GET /get-chat/{c}": {"methods": ["chat.retrieve"]},
}


def named(*keys: str, hints: Json | None = None) -> dict[str, str]:
    paths: Json = {}
    for key in keys:
        method, _, path = key.partition(" ")
        paths.setdefault(path, {})[method.lower()] = {**operation(path.strip("/")), **(hints or {})}
    return {key: entry.methods[0] for key, entry in entries(document(paths), SURFACE).items()}


def test_the_surface_says_what_it_knows() -> None:
    key = "GET /get-phone-number/{n}"
    entry = entries(document({"/get-phone-number/{n}": {"get": operation("a")}}), SURFACE)[key]
    assert entry.methods == ("phone_number.retrieve", "number.get")
    assert (entry.repeat, entry.timeout, entry.named) == ("safe", 9, True)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("GET /v2/list-phone-numbers", "phone_number.list"),
        ("POST /create-phone-number-pool", "phone_number.create_pool"),
        ("DELETE /delete-agent-version/{a}", "agent.delete_version"),
        ("GET /get-agent/{a}", "agent.retrieve"),
        ("GET /get-wholly-new-thing", "wholly_new_thing.retrieve"),
        ("POST /ping", "ping.ping"),
        ("PUT /agent-tag/{id}", "agent.update_tag"),
        ("DELETE /agent-tag/{id}", "agent.delete_tag"),
        ("GET /widgets", "widget.list"),
        ("GET /widgets/{id}", "widget.retrieve"),
        ("GET /get-outbound-sms", "outbound_sms.retrieve"),
        ("POST /widgets", "widget.create"),
        ("HEAD /widgets/{id}", "widget.head"),
        ("POST /widgets/{id}/start", "widget.start"),
        ("POST /widgets/{id}:start", "widget.start"),
        ("POST /widgets:start", "widget.start"),
        ("GET /widgets/{a}-{b}", "widget.retrieve"),
        ("GET /get-agent/{id}/stats", "agent.get_stats"),
        ("PUT /move-animal/{animal}/to/{cage}", "animal.move"),
        ("POST /v4/import-class", "class_.import_"),
    ],
)
def test_an_operation_that_it_does_not_know_names_itself(key: str, name: str) -> None:
    assert named(key)[key] == name
    assert not entries(document({key.partition(" ")[2]: {key.partition(" ")[0].lower(): operation("a")}}), SURFACE)[key].named


def test_hints_of_the_document_go_before_its_path() -> None:
    hints = {"x-retell-sdk-resource": "Some-Thing", "x-retell-sdk-method": "from"}
    assert named("POST /do-it", hints=hints) == {"POST /do-it": "some_thing.from_"}


def test_the_older_path_steps_back() -> None:
    found = named("GET /get-widget/{w}", "GET /v2/get-widget/{w}", "GET /v3/get-widget/{w}")
    assert list(found.values()) == ["widget.retrieve_v1", "widget.retrieve_v2", "widget.retrieve"]
    assert list(named("GET /get-chat/{c}", "GET /v2/get-chat/{c}").values()) == ["chat.retrieve_v1", "chat.retrieve"]
    assert list(named("POST /v2/stop-it", "POST /v2.1/stop-it").values()) == ["it.stop_v2", "it.stop"]
    assert list(named("POST /v2.1/stop-it", "POST /v3/stop-it").values()) == ["it.stop_v2_1", "it.stop"]


def test_another_operation_of_the_same_name_says_its_noun() -> None:
    assert list(named("POST /create-chat", "POST /v2/create-chats").values()) == ["chat.create_chat", "chat.create"]
    hints = {"x-retell-sdk-resource": "chat", "x-retell-sdk-method": "retrieve"}
    assert named("GET /get-chat/{c}", "POST /do-it", hints=hints)["POST /do-it"] == "it.do"


THINGS = object_(things=array(STRING))


@pytest.mark.parametrize(
    ("key", "repeat"),
    [
        ("POST /v2/list-things", "safe"),
        ("POST /search-things", "safe"),
        ("POST /search-blue-chat", "safe"),
        ("POST /list-things/{t}", "safe"),
        ("POST /list-phone-numbers", "safe"),
        ("GET /list-exports", "safe"),
        ("GET /list-export-requests", "safe"),
        ("GET /get-thing/{t}", "safe"),
        ("GET /get-thing/{t}/stats", "safe"),
        ("GET /get-sync-job-status", "safe"),
        ("GET /getThings", "safe"),
        ("GET /things", "safe"),
        ("GET /things/{t}", "safe"),
        ("GET /phone-numbers/{n}/agents", "safe"),
        ("GET /get-agent/{a}/chats", "safe"),
        ("GET /get-thing-status/{t}/stats", "safe"),
        ("GET /get-single-use-token", "safe"),
        ("GET /list-messages-unread-mark-read", "unsafe"),
        ("GET /list-things-purging", "unsafe"),
        ("GET /list-purging", "unsafe"),
        ("GET /list-things-retries", "safe"),
        ("POST /list-things-launches", "safe"),
        ("GET /get-things-synced", "unsafe"),
        ("GET /get-things-stopped", "unsafe"),
        ("GET /get-things-applied", "unsafe"),
        ("GET /get-hangups/{t}", "unsafe"),
        ("GET /get-thing/{t}/hangups", "unsafe"),
        ("GET /things/restarts", "unsafe"),
        ("GET /things/{t}:restarts", "unsafe"),
        ("GET /get-thing/{t}/hangup", "unsafe"),
        ("GET /get-thing-transfer/{t}", "unsafe"),
        ("GET /get-sms-send/{to}", "unsafe"),
        ("GET /get-hangup/{t}", "unsafe"),
        ("GET /get-dial-out/{to}", "unsafe"),
        ("GET /search-phone-numbers-purchase", "unsafe"),
        ("GET /thing/{t}/cancel", "unsafe"),
        ("GET /things/{t}/dial_now", "unsafe"),
        ("GET /call/{t}", "unsafe"),
        ("GET /things/{t}:hangup", "unsafe"),
        ("GET /things/{t}.dial", "unsafe"),
        ("GET /get-thing/{t}:redial", "unsafe"),
        ("GET /list-things:purge", "unsafe"),
        ("GET /things/{t}-{u}", "safe"),
        ("POST /list-things:archive", "unsafe"),
        ("POST /list-things/{t}:archive", "unsafe"),
        ("GET /send-code", "unsafe"),
        ("GET /startThing/{t}", "unsafe"),
        ("GET /email-contact/{c}", "unsafe"),
        ("GET /email-contacts", "unsafe"),
        ("GET /outbound-sms", "unsafe"),
        ("GET /wake-up-contact/{c}", "unsafe"),
        ("GET /get-next-call", "unsafe"),
        ("GET /get-and-wipe-thing/{t}", "unsafe"),
        ("GET /{t}", "unsafe"),
        ("HEAD /things", "unsafe"),
        ("DELETE /delete-thing/{t}", "unsafe"),
        ("PUT /agent-tag/{t}", "unsafe"),
        ("PATCH /update-thing/{t}", "unsafe"),
        ("POST /get-thing", "unsafe"),
        ("POST /get-new-phone-number", "unsafe"),
        ("POST /get-verification-code", "unsafe"),
        ("POST /list-and-archive-calls", "unsafe"),
        ("POST /list-purge", "unsafe"),
        ("POST /list", "unsafe"),
        ("POST /things", "unsafe"),
        ("POST /search-number-redeem", "unsafe"),
        ("POST /get-or-create-thing", "unsafe"),
        ("POST /create-thing", "unsafe"),
        ("POST /relist-things", "unsafe"),
        ("POST /search-things/{t}/contact", "unsafe"),
        ("POST /list_and_dial", "unsafe"),
        ("POST /check-out-things", "unsafe"),
        ("POST /preview/{t}", "unsafe"),
    ],
)
def test_what_is_new_is_not_repeated_unless_it_reads(key: str, repeat: str) -> None:
    method, _, path = key.partition(" ")
    entry = entries(document({path: {method.lower(): operation("a", THINGS)}}), SURFACE)[key]
    assert entry.repeat == repeat
    assert entry.effect != "read" or repeat == "safe"


@pytest.mark.parametrize(
    ("key", "answer"),
    [("GET /get-thing", None), ("GET /things", None), ("POST /list-things", None), ("POST /list-things", object_(a=STRING))],
)
def test_what_does_not_answer_with_what_it_reads_is_not_repeated(key: str, answer: Json | None) -> None:
    method, _, path = key.partition(" ")
    assert entries(document({path: {method.lower(): operation("a", answer)}}), {})[key].repeat == "unsafe"


@pytest.mark.parametrize(
    ("identifier", "repeat"),
    [
        ("startThing", "unsafe"),
        ("thing-dial", "unsafe"),
        ("wakeThings", "unsafe"),
        ("getOrDial", "unsafe"),
        ("getCall", "safe"),
        ("v2Things", "safe"),
    ],
)
def test_an_id_says_too_that_an_operation_acts(identifier: str, repeat: str) -> None:
    assert entries(document({"/things/{t}": {"get": operation(identifier, THINGS)}}), {})["GET /things/{t}"].repeat == repeat


@pytest.mark.parametrize("asks", [{}, {"asks": "money"}, {"asks": {"kept_days": "deletion"}}])
def test_what_paths_and_questions_name_is_relied_on(asks: Json) -> None:
    values = {"CallResponse.over": ["ended", "true"]}
    verbs = {"methods": ["call.update", "call.edit"], **asks}
    surface = {"relied_on": ["call.list", "CallResponse", values], "PATCH /calls/{call_id}": verbs}
    named = {"call_id", *({"kept_days"} if "kept_days" in str(asks) else ())}
    listed = {f"{name}{rest}" for name in ("call.list", "CallResponse", *values) for rest in ("", " as a list")}
    listed |= {"CallResponse.over: ended", "CallResponse.over: true"}
    assert relied_on(surface) == listed | {f"call.{verb}({name})" for verb in ("update", "edit") for name in named}


@pytest.mark.parametrize(("resource", "name"), [("agent", "AgentHelper"), ("call", "OtherHelper"), ("chat", "CallHelper")])
def test_a_class_by_hand_that_one_client_lacks_is_refused(resource: str, name: str) -> None:
    where, reason = refused(lambda given: entries(given, {"inherits": {resource: name}}), document({}))
    assert where == f"/surface/inherits/{resource}"
    assert f"a class {name} is needed in retell_async/_helpers/{resource}.py and in retell_async/_blocking/helpers.py" in reason


def test_a_method_by_hand_that_one_client_lacks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserved, "PACKAGE", tmp_path)
    for file, methods in (("_helpers/call.py", ("wait", "_own", "watch")), ("_blocking/helpers.py", ("wait", "_other"))):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("class CallHelper:\n" + "".join(f"    def {method}(self): ...\n" for method in methods))
    _, reason = refused(lambda given: entries(given, {"inherits": {"call": "CallHelper"}}), document({}))
    assert reason.startswith("CallHelper of retell_async/_blocking/helpers.py has no watch, and that of the other client has")


def test_a_method_by_hand_is_no_name_for_another() -> None:
    surface: Json = {"inherits": {"call": "CallHelper"}, "GET /a": {"methods": ["call.monitor"]}}
    where, reason = refused(lambda given: entries(given, surface), document({"/a": {"get": operation("a")}}))
    assert (where, reason) == ("/surface/GET ~1a", "call.monitor is written by hand already: name it in the surface")


def test_names_that_collide_are_refused() -> None:
    twice: Json = {"GET /a": {"methods": ["x.y"]}, "GET /b": {"methods": ["x.y"]}}
    where, reason = refused(lambda given: entries(given, twice), document({"/a": {"get": operation("a")}, "/b": {"get": operation("b")}}))
    assert (where, reason) == ("/surface/GET ~1b", "x.y is GET /a already: name it in the surface")
    for field, what in (("tool", "is what GET /a is called as a tool"), ("id", "is the id of another operation too")):
        named: Json = {f"GET /{name}": {"methods": [f"x.{name}"], field: "get_it"} for name in "ab"}
        given = document({"/a": {"get": operation("a")}, "/b": {"get": operation("b")}})
        where, reason = refused(lambda given: entries(adopted(given, named), named), given)  # noqa: B023
        assert (where, reason) == (f"/surface/GET ~1b/{field}", f"get_it {what}")
    same = document({f"/get-thing{rest}": {"get": operation("a")} for rest in ("", "/{a}", "/{a}/{b}")})
    assert "name it in the surface" in refused(lambda given: entries(given, {}), same)[1]


@pytest.mark.parametrize(
    ("key", "said", "effect", "asks"),
    [
        ("GET /get-call/{c}", {}, "read", {}),
        ("POST /v2/list-things", {}, "read", {}),
        ("POST /create-thing", {"asks": "money"}, "write", {"": "money"}),
        ("PATCH /update-thing/{t}", {"asks": {"kept_days": "deletion"}}, "write", {"kept_days": "deletion"}),
        ("DELETE /delete-thing/{t}", {}, "delete", {"": "deletion"}),
    ],
)
def test_an_operation_says_what_it_does_and_what_it_asks(key: str, said: Json, effect: str, asks: Json) -> None:
    method, _, path = key.partition(" ")
    surface = {key: {"methods": ["thing.act"], "tool": "act_on_thing", "open_world": True, **said}}
    entry = entries(document({path: {method.lower(): operation("a")}}), surface)[key]
    assert (entry.tool, entry.effect, entry.asks, entry.open_world) == ("act_on_thing", effect, asks, True)


@pytest.mark.parametrize(
    ("key", "asks"),
    [("POST /ping", {"": "money"}), ("GET /get-ping", {}), ("POST /list-pings", {}), ("DELETE /delete-ping/{p}", {"": "deletion"})],
)
def test_an_operation_that_names_itself_is_no_tool_and_asks_where_it_acts(key: str, asks: Json) -> None:
    method, _, path = key.partition(" ")
    entry = entries(document({path: {method.lower(): operation("a", THINGS)}}), SURFACE)[key]
    assert (entry.tool, entry.asks) == (None, asks)


def test_of_several_versions_the_newest_is_the_tool() -> None:
    surface = {"GET /get-chat/{c}": {"methods": ["chat.retrieve"], "tool": "get_chat"}}
    found = entries(document({"/get-chat/{c}": {"get": operation("a")}, "/v2/get-chat/{c}": {"get": operation("b")}}), surface)
    assert {key: entry.tool is not None for key, entry in found.items()} == {"GET /get-chat/{c}": False, "GET /v2/get-chat/{c}": True}


def test_an_operation_that_names_itself_may_have_a_rule_of_its_own() -> None:
    surface: Json = {**SURFACE, "GET /get-audience/{a}": {"repeat": "unsafe", "asks": {"wide": "money"}}}
    wide = [{"in": "query", "name": "wide", "schema": STRING}]
    given = document({path: {"get": operation(path[1:4], THINGS, parameters=wide)} for path in ("/get-audience/{a}", "/get-agent/{a}")})
    found = entries(given, surface)
    assert [(str(entry.methods[0]), entry.repeat) for entry in found.values()] == [
        ("audience.retrieve", "unsafe"),
        ("agent.retrieve", "safe"),
    ]
    assert "audience.retrieve(a)" not in relied_on(surface)
    misspelt: Json = {"GET /get-audience/{a}": {"repeat": "unsafe", "asks": {"wied": "money"}}}
    where, reason = refused(lambda document: entries(document, misspelt), given)
    assert (where, reason) == ("/surface/GET ~1get-audience~1{a}/asks", "audience.retrieve takes no wied")
