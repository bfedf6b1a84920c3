"""Models in the hands of other packages: what works adds nothing and loses nothing, and what cannot says so."""

from __future__ import annotations

import copy
import functools
import inspect
import io
import json
import operator
import pickle
import pprint
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import UnionType
from typing import Any, cast, get_type_hints
from unittest import mock

import attrs
import cattrs
import httpx
import msgspec
import pytest
import rich
from pydantic.deprecated.decorator import validate_arguments
from rich.console import Console

import retell_async
from retell_async import AsyncRetell, Model, UnknownObject, resources, types, webhooks
from retell_async._core.hints import Hints, readable
from retell_async._core.strict import problems
from retell_async.raw import api
from retell_async.types import AgentResponse, PhoneCallResponse, UnknownCallResponse, WebCallResponse

AGENT: dict[str, Any] = {
    "agent_id": "agent_1",
    "response_engine": {"type": "retell-llm", "llm_id": "llm_1", "new": [1]},
    "language": None,
    "brand_new": {"a": None},
}
CALL: dict[str, Any] = {
    "call_type": "phone_call",
    "to_number": "+14155550199",
    "metadata": {"api_key": "hunter2", "+14155550199": "customer", "phones": [{"phone_number": 14155550199}], "count": 14},
    "transcript": "call me at +1 415 555 0199",
    "new_field": ["+14155550199", None],
}
NEW: dict[str, Any] = {"brand_new": 2}
OPTIONS = [*retell_async.RequestOptions.__annotations__]
SECRETS = ("4155550199", "555 0199", "hunter2", "eyJ-token")


def test_evolve_changes_what_is_said_and_nothing_else() -> None:
    agent = AgentResponse.from_dict(AGENT)
    changed = attrs.evolve(agent, voice_id="voice_2", language="de-DE")
    assert type(changed) is AgentResponse
    assert changed.to_dict() == {**AGENT, "voice_id": "voice_2", "language": "de-DE"}
    assert agent.to_dict() == AGENT
    assert attrs.evolve(agent).to_dict() == AGENT
    assert changed.response_engine is agent.response_engine


def test_evolve_tells_null_from_left_out() -> None:
    changed = attrs.evolve(AgentResponse.from_dict({"agent_id": "agent_1", "webhook_url": None}), voice_speed=None)
    assert changed.to_dict() == {"agent_id": "agent_1", "webhook_url": None, "voice_speed": None}


def test_evolve_takes_fields_that_are_there_and_refuses_others() -> None:
    agent = AgentResponse.from_dict(AGENT)
    assert attrs.evolve(agent, **NEW)["brand_new"] == 2
    with pytest.raises(TypeError, match="AgentResponse has no field 'vioce_id'"):
        attrs.evolve(agent, **{"vioce_id": "voice_2", **NEW})
    unknown = UnknownCallResponse.from_dict({"call_id": "c", "pages": 1})
    assert attrs.evolve(unknown, **NEW).to_dict() == {"call_id": "c", "pages": 1, "brand_new": 2}


def test_evolve_knows_fields_by_their_names_in_python() -> None:
    renamed = next(cls for cls in models() if cls.__wire__)
    name, wire = next(iter(renamed.__wire__.items()))
    assert attrs.evolve(renamed.from_dict({wire: 1, "x": 2}), **{name: 3}).to_dict() == {wire: 3, "x": 2}
    assert attrs.evolve(renamed.from_dict({wire: 1, "x": 2})).to_dict() == {wire: 1, "x": 2}


@pytest.mark.parametrize(
    "take_apart",
    [
        attrs.asdict,
        attrs.astuple,
        cattrs.unstructure,
        cattrs.BaseConverter().unstructure,
        cattrs.Converter(omit_if_default=True).unstructure,
        lambda model: cattrs.unstructure({"models": [model]}),
        lambda model: cattrs.structure(model.to_dict(), type(model)),
        lambda model: msgspec.convert(model.to_dict(), type(model)),
        lambda model: msgspec.json.decode(json.dumps([model.to_dict()]), type=cast("Any", list)[type(model)]),
    ],
)
@pytest.mark.parametrize("resolved", [False, True])
def test_what_would_add_nulls_is_refused(take_apart: Callable[[Any], Any], resolved: bool) -> None:
    if resolved:
        attrs.resolve_types(AgentResponse)
    with pytest.raises(TypeError, match=r"to_dict\(\) and from_dict\(\)"):
        take_apart(AgentResponse.from_dict(AGENT))


def test_every_field_of_attrs_has_a_type_for_those_who_describe_classes() -> None:
    """As Litestar's OpenAPI does, which keeps them in dicts."""
    for cls in models():
        hints = get_type_hints(cls)
        assert hints.keys() >= {field.name for field in attrs.fields(cls)}
        assert {*map(hash, hints.values())}


def test_copies_and_pickles_are_the_same() -> None:
    for model in (AgentResponse.from_dict(AGENT), UnknownCallResponse.from_dict(CALL)):
        for made in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), attrs.evolve(model)):
            assert made == model
            assert json.dumps(made.to_dict()) == json.dumps(model.to_dict())


def models() -> Iterator[type[Model]]:
    for name in dir(types):
        found = getattr(types, name)
        if isinstance(found, type) and issubclass(found, Model):
            yield found


def test_types_of_fields_are_resolved_for_attrs() -> None:
    for cls in models():
        attrs.resolve_types(cls)
        assert not [field.name for field in attrs.fields(cls) if isinstance(field.type, (str, typing.ForwardRef))]
    assert problems(AgentResponse, {"agent_id": 1}) != []  # which looks at what is written


def test_hints_of_every_type_are_types() -> None:
    for name in dir(types):
        found = getattr(types, name)
        if isinstance(found, type):
            unresolved = {field for field, hint in typing.get_type_hints(found).items() if "ForwardRef" in repr(hint)}
            assert not unresolved, name
    hints = typing.get_type_hints(PhoneCallResponse)
    assert hints["call_analysis"] == types.CallAnalysis | None
    assert hints["from_number"] is str
    assert hints["transcript_object"] == list[types.Utterance] | None
    assert typing.get_type_hints(webhooks.CallEnded)["call"] is types.CallResponse
    assert types.CallResponse.__args__ == (WebCallResponse, PhoneCallResponse, UnknownCallResponse)


def test_hints_of_every_method_are_types() -> None:
    client = AsyncRetell("key")
    names = [name for name, value in vars(resources.Resources).items() if not name.startswith("_") and name not in {"send", "paginate"}]
    assert len(names) > 15
    for name in names:
        resource = getattr(client, name)
        for view in (resource, resource.with_raw_response, resource.with_streaming_response):
            for method in (found for key in dir(view) if key[0] != "_" and callable(found := getattr(view, key))):
                assert "ForwardRef" not in repr(typing.get_type_hints(method))
                inspect.signature(method, eval_str=True)
    hints = typing.get_type_hints(client.call.stop)
    assert hints["call_id"] is str
    assert hints["return"] is type(None)


@pytest.mark.parametrize("kind", [AsyncRetell, retell_async.Retell])
def test_each_option_is_a_keyword_to_what_looks_at_a_method(kind: Any) -> None:
    client = kind("key")
    for resource in (getattr(client, name) for name, value in vars(resources.Resources).items() if hasattr(value, "attrname")):
        for view in (resource, resource.with_raw_response):
            for method in (found for name in dir(view) if name[0] != "_" and inspect.ismethod(found := getattr(view, name))):
                if not inspect.unwrap(method.__func__).__code__.co_flags & inspect.CO_VARKEYWORDS:
                    continue  # written by hand
                names = [*inspect.signature(method).parameters]
                assert names[-len(OPTIONS) :] == OPTIONS
                assert typing.get_type_hints(method).keys() == {*names, "return"}
                assert [*inspect.signature(method.__func__).parameters] == ["self", *names]
                assert [*inspect.signature(functools.wraps(method)(lambda: None)).parameters] == names


@pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")
def test_makers_of_tools_have_a_model_of_a_methods_arguments() -> None:
    """As LangChain does, for which each annotation is its origin with its arguments."""
    sent: list[httpx.Request] = []
    validate: Any = validate_arguments(config={"arbitrary_types_allowed": True})

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={**CALL, "call_id": "call_1"})

    client: Any
    with retell_async.Retell("key", http_client=httpx.Client(transport=httpx.MockTransport(serve))) as client:
        for method in (client.call.retrieve, client.call.list, client.agent.create, client.call.create_phone_call, client.call.delete):
            fields = validate(method).model.model_fields
            assert {*OPTIONS} <= fields.keys()
            assert "options" not in fields
            for hint in typing.get_type_hints(method, include_extras=True).values():
                assert rebuilt(hint) == hint
        retrieve = client.call.retrieve
        defaults = {name: one.default for name, one in inspect.signature(retrieve).parameters.items() if name in OPTIONS}
        assert retrieve("call_1") == retrieve("call_1", **defaults)
        retrieve("call_1", **{**defaults, "extra_headers": {"X-A": "1"}})
        ours = [{name: value for name, value in request.headers.items() if name != "x-a"} for request in sent]
        assert ours[0] == ours[1] == ours[2]
        assert sent[2].headers["x-a"] == "1"


def rebuilt(hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), tuple(map(rebuilt, typing.get_args(hint)))
    if not arguments or origin in {typing.Literal, typing.Annotated}:
        return hint
    return functools.reduce(operator.or_, arguments) if origin is UnionType else origin[arguments]


def test_a_mock_with_a_clients_specification_knows_the_options() -> None:
    retrieve = mock.create_autospec(retell_async.Retell("key").call.retrieve)
    retrieve("call_1", timeout=3)
    with pytest.raises(TypeError, match="bogus"):
        retrieve("call_1", bogus=3)


def test_hints_of_raw_operations_are_types() -> None:
    for found in walk_packages(api.__path__, f"{api.__name__}."):
        if not found.ispkg:
            module = import_module(found.name)
            assert typing.get_type_hints(module.request)
            assert typing.get_type_hints(module.send)["client"].__name__ == "Sender"


@pytest.mark.parametrize("module", [retell_async, webhooks])
def test_hints_of_all_that_is_public_are_types(module: Any) -> None:
    for name in module.__all__:
        thing = getattr(module, name)
        if isinstance(thing, type):
            typing.get_type_hints(thing)
            for member in (found for base in thing.__mro__ if base.__module__.startswith("retell_async") for found in vars(base).values()):
                function = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
                if inspect.isfunction(function) and function.__module__.startswith("retell_async"):
                    typing.get_type_hints(function)
        elif inspect.isfunction(thing):
            typing.get_type_hints(thing)
    assert httpx.AsyncClient in typing.get_args(typing.get_type_hints(AsyncRetell.__init__)["http_client"])
    assert httpx.Client in typing.get_args(typing.get_type_hints(retell_async.Retell.__init__)["http_client"])


def test_hints_are_types_where_what_is_optional_is_not_installed() -> None:
    code = """
import sys
for name in ("aiohttp", "fastapi", "httpx2", "pydantic", "pydantic_core", "starlette", "websockets", "yaml"):
    sys.modules[name] = None
import inspect, typing
import retell_async
from retell_async import llm, webhooks
for module in (retell_async, webhooks, llm):
    for name in module.__all__:
        thing = getattr(module, name)
        for one in (thing, *vars(thing).values()) if inspect.isclass(thing) else (thing,):
            one = getattr(one, "__func__", getattr(one, "fget", getattr(one, "func", one)))
            if inspect.isfunction(one) and one.__module__.startswith("retell_async") or inspect.isclass(one):
                typing.get_type_hints(one)
print(typing.get_args(typing.get_type_hints(retell_async.AsyncRetell.__init__)["http_client"])[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("<class 'httpx2.AsyncClient'>\n", "")


def test_nobody_who_does_not_ask_pays_for_hints() -> None:
    code = """
import sys
from retell_async import AsyncRetell
AsyncRetell("key").call.retrieve.__doc__
print([name for name in sys.modules if name.startswith("retell_async.raw.models.") or name == "retell_async.types"])
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_a_name_that_cannot_be_found_stays_as_it_is_written() -> None:
    def function(a: int, b: Nowhere | None) -> str:  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
        return ""

    readable(function)
    hints = function.__annotations__
    assert isinstance(hints, Hints)
    assert dict(hints) == {"a": int, "b": "Nowhere | None", "return": str}
    assert (hints.written("a"), hints.get("a"), hints.get("c"), list(hints.values())) == ("int", int, None, [int, "Nowhere | None", str])
    with pytest.raises(NameError, match="Nowhere"):
        typing.get_type_hints(function)
    readable(function)
    assert function.__annotations__ is hints


def shown(thing: object, width: int = 300) -> str:
    written = io.StringIO()
    Console(file=written, width=width).print(thing)
    return written.getvalue()


@pytest.mark.parametrize(
    "thing",
    [
        PhoneCallResponse.from_dict(CALL),
        UnknownObject.from_dict({"call": {"to_number": "+14155550199"}, "access_token": "eyJ-token"}),
        WebCallResponse.from_dict({"call_type": "web_call", "access_token": "eyJ-token", "new_field": 1}),
        webhooks.parse_event(json.dumps({"event": "call_ended", "new_field": 1, "call": CALL})),
        webhooks.parse_event(json.dumps({"event": "call_inbound", "call_inbound": {"from_number": "+14155550199"}})),
        webhooks.InboundAnswer("call_inbound", {"metadata": {"phone_number": "+14155550199", "password": "hunter2"}}),
        [{"calls": [PhoneCallResponse.from_dict(CALL)]}],
    ],
    ids=repr,
)
def test_no_secret_is_shown(thing: object) -> None:
    for text in (shown(thing), shown(thing, 20), repr(thing), pprint.pformat(thing)):
        assert not [secret for secret in SECRETS if secret in text.replace("\n", "")]


def test_rich_shows_what_is_there_and_all_of_it() -> None:
    text = shown(PhoneCallResponse.from_dict(CALL | {"call_cost": {"combined_cost": 7}, "words": list(range(20))}))
    assert "new_field=['+141******99', None]" in " ".join(text.split())
    assert "call_cost=CallCost(combined_cost=7)" in text
    assert "19" in text
    assert "recording_url" not in text
    assert "__whole__" not in text


def test_rich_inspects_all_of_a_model() -> None:
    file = io.StringIO()
    rich.inspect(PhoneCallResponse.from_dict(CALL), all=True, console=Console(file=file, width=200))
    assert "__whole__" in file.getvalue()
