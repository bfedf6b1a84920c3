"""Every method of the client has its twin without `await`: the same name, parameters and documentation, and the same request and answer."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import httpx
import pytest

from retell_async import (
    AsyncListPage,
    AsyncListPaginator,
    AsyncPage,
    AsyncPaginator,
    AsyncRetell,
    Dispatch,
    RawResponse,
    Retell,
    StreamedResponse,
    SyncDispatch,
    SyncListPage,
    SyncPage,
    SyncRawResponse,
    SyncStreamedResponse,
)
from retell_async._core.model import Model, plain
from retell_async.resources._operations import METHODS as OPERATIONS

from ..generated.calls import BASE_URL, METHODS, answered, everything, written
from ..generated.test_calls import Server, check_answer, check_request

ASYNC, SYNC = AsyncRetell("key_1"), Retell("key_1")
TWINS = {
    SyncPage: AsyncPage,
    SyncListPage: AsyncListPage,
    SyncRawResponse: RawResponse,
    SyncStreamedResponse: StreamedResponse,
    SyncDispatch: Dispatch,
    Retell: AsyncRetell,
}
ALONE = {
    Retell: {"send", "send_raw", "stream", "paginate", "waiting", "aclose"},  # they are not for users, and `close` is there
    SyncPage: set[str](),
    SyncListPage: set[str](),
    SyncRawResponse: set[str](),
    SyncDispatch: set[str](),
    SyncStreamedResponse: {"aclose", "map"},
}


def resources(client: object) -> Iterator[tuple[str, Any]]:
    for name in dir(client):
        if not name.startswith("_") and hasattr(getattr(client, name), "with_raw_response"):
            yield name, getattr(client, name)


def methods(client: object) -> dict[str, Any]:
    return {
        f"{name}.{view}{method}": getattr(getattr(resource, view[:-1]) if view else resource, method)
        for name, resource in resources(client)
        for view in ("", "with_raw_response.", "with_streaming_response.")
        for method in dir(getattr(resource, view[:-1]) if view else resource)
        if not method.startswith(("_", "with_"))
    }


def test_every_method_is_there_twice() -> None:
    there, here = methods(ASYNC), methods(SYNC)
    assert here.keys() == there.keys()
    assert len([name for name in OPERATIONS if name in here]) == len(OPERATIONS) > 100
    for name, method in here.items():
        other = there[name.replace("with_streaming_response.", "")]
        assert not inspect.iscoroutinefunction(inspect.unwrap(method)), name
        # What gives events to a router calls its handlers in another event loop than this client's.
        wanted = [parameter for parameter in inspect.signature(other).parameters.values() if parameter.name != "router"]
        assert list(inspect.signature(method).parameters.values()) == wanted, name
        if name in OPERATIONS:
            assert method.__doc__ == other.__doc__, name


def test_what_they_answer_is_the_same_too() -> None:
    there, here = methods(ASYNC), methods(SYNC)
    pages: dict[object, object] = {AsyncPaginator: SyncPage, AsyncListPaginator: SyncListPage}
    for name in OPERATIONS:
        ours, theirs = (typing.get_type_hints(found[name])["return"] for found in (here, there))
        page = pages.get(typing.get_origin(theirs))
        if page is not None:
            assert typing.get_origin(ours) is page, name
            ours, theirs = typing.get_args(ours), typing.get_args(theirs)
        assert ours == theirs, name


@pytest.mark.parametrize("kind", TWINS, ids=lambda kind: kind.__name__)
def test_classes_have_the_same_members_with_the_same_parameters(kind: type) -> None:
    twin = TWINS[kind]
    own, other = ({name for name in dir(each) if not name.startswith("_")} for each in (kind, twin))
    assert other - own == ALONE[kind]
    assert own - other <= {"pages"}  # which a list has that is awaited
    for name in own & other:
        ours, theirs = getattr(kind, name), getattr(twin, name)
        if inspect.isfunction(ours):
            here, there = _parameters(ours), _parameters(theirs)
            if name == "dispatch":  # what is made for an AsyncRetell is not for this, nor what is to be awaited
                assert {"router", "slots"} == there.keys() - here.keys()
                there = {each: there[each] for each in here} | {"requests": here["requests"]}
            assert here == there, name
    if kind is Retell:
        assert _parameters(kind) == _parameters(twin)


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters, of which one has another type: an HTTP client that does not await is for a `Retell` alone."""
    found = dict(inspect.signature(function).parameters)
    if "http_client" in found:
        found["http_client"] = found["http_client"].replace(annotation=None)
    return found


@pytest.mark.parametrize(("key", "name"), METHODS, ids=[name for _, name in METHODS])
def test_every_method_sends_and_answers_the_same(key: str, name: str) -> None:
    random = Random(0)
    given, said = everything(key, random), answered(key, random)
    server = Server(key, said)
    http_client = httpx.AsyncClient(transport=httpx.MockTransport(server.serve))
    resource, _, method = name.partition(".")
    with Retell("key_1", base_url=BASE_URL, max_retries=0, http_client=http_client, strict=True) as client:
        plain_method = getattr(getattr(client, resource), method)
        keywords = given.keywords(plain_method)
        places = [keywords.pop(name) for name in list(given.path)[-1:]]
        result = plain_method(*places, **keywords)
        raw = getattr(getattr(client, resource).with_raw_response, method)(*places, **keywords)
        with getattr(getattr(client, resource).with_streaming_response, method)(*places, **keywords) as streamed:
            assert isinstance(streamed, SyncStreamedResponse)
            later = streamed.parse()
    assert len(server.asked) == 3
    for request in server.asked:
        check_request(request, key, given)
    assert isinstance(raw, SyncRawResponse)
    for answer in (result, raw.parse(), later):
        if isinstance(answer, SyncPage):
            items: Any = said["items"] if isinstance(said, dict) else said
            assert plain(list(answer)) == plain(list(answer.items)) == items
            assert all(isinstance(item, Model) for item in answer if plain(item) is not item)
        else:
            check_answer(key, answer, said)
    assert raw.content == written(key, said)
