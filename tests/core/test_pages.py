from __future__ import annotations

import asyncio
import copy
import json
import pickle
import traceback
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, cast

import httpx
import pytest

from retell_async._client import AsyncRetell
from retell_async._core.errors import APIResponseValidationError, InternalServerError
from retell_async._core.model import UnknownObject
from retell_async._core.operation import Request
from retell_async._core.pages import MOST_EMPTY_PAGES, AsyncListPage, AsyncPage, Walk, next_request, raw_page
from retell_async._engine.retry import RetryPolicy

from ..engine.example import LIST, LIST_BY_POST, LIST_WHOLE, ThingResource, answering, client_of


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"has_more": False}, None),
        ({"has_more": False, "pagination_key": "b"}, None),
        ({"has_more": True, "pagination_key": "b"}, "b"),
        ({"pagination_key": "b"}, "b"),
        ({}, None),
    ],
)
def test_where_a_list_goes_on(fields: dict[str, Any], key: str | None) -> None:
    by_query = next_request(LIST.request(query={"limit": 5, "pagination_key": "a"}), fields)
    by_body = next_request(LIST_BY_POST.request(body={"limit": 5, "pagination_key": "a"}), fields)
    if key is None:
        assert by_query is by_body is None
    else:
        assert by_query == LIST.request(query={"limit": 5, "pagination_key": key})
        assert by_body == LIST_BY_POST.request(body={"limit": 5, "pagination_key": key})


@pytest.mark.parametrize(
    "fields", [{"has_more": True}, {"has_more": True, "pagination_key": ""}, {"has_more": True, "pagination_key": "a"}]
)
@pytest.mark.parametrize("request_", [LIST.request(query={"pagination_key": "a"}), LIST_BY_POST.request(body={"pagination_key": "a"})])
def test_a_list_that_goes_on_nowhere_is_an_error(request_: Request[Any], fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pagination_key"):
        next_request(request_, fields)


def server(pages: int, requests: list[httpx.Request]) -> AsyncRetell:
    """Pages of two items: 0 and 1, 2 and 3, ..."""

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        options: Any = json.loads(request.content) if request.method == "POST" else dict(request.url.params)
        at = int(options.get("pagination_key", 0))
        body: dict[str, Any] = {"items": [{"n": 2 * at}, {"n": 2 * at + 1}], "has_more": at + 1 < pages}
        if at + 1 < pages:
            body["pagination_key"] = str(at + 1)
        return httpx.Response(200, json=body)

    return client_of(serve)


@pytest.mark.anyio
@pytest.mark.parametrize("request_", [LIST.request(query={"limit": 2}), LIST_BY_POST.request(body={"limit": 2})])
async def test_every_item_of_every_page_lazily(request_: Request[Any]) -> None:
    requests: list[httpx.Request] = []
    async with server(3, requests) as client:
        seen: list[int] = []
        async for item in client.paginate(request_, {"extra_headers": {"a": "b"}}):
            seen.append(item["n"])
            assert len(requests) == item["n"] // 2 + 1
        assert seen == list(range(6))
        assert all(request.headers["a"] == "b" for request in requests)
        assert [len(page) async for page in client.paginate(request_, {}).pages()] == [2, 2, 2]
        async with aclosing(aiter(client.paginate(request_, {}))) as items:
            assert (await anext(items))["n"] == 0
        assert [item async for item in items] == []


@pytest.mark.anyio
async def test_a_page() -> None:
    async with server(2, []) as client:
        page: AsyncPage[Any] | None = await client.paginate(LIST.request(), {})
        assert page is not None
        assert (page.items, page.has_more, page.pagination_key, page.total) == ([{"n": 0}, {"n": 1}], True, "1", None)
        assert page.to_dict() == {"items": [{"n": 0}, {"n": 1}], "has_more": True, "pagination_key": "1"}
        assert (len(page), page[0], page[-1:], list(page)) == (2, {"n": 0}, [{"n": 1}], page.items)
        assert repr(page) == "AsyncPage(2 items, has_more=True)"
        page = await page.next_page()
        assert page is not None
        assert (page.has_more, page.pagination_key) == (False, None)
        assert await page.next_page() is None


@pytest.mark.anyio
async def test_a_list_without_pages_looks_the_same() -> None:
    async with answering(json=[{"voice_id": "a"}, {"voice_id": "b"}]) as client:
        page = await client.paginate(LIST_WHOLE.request(), {})
        assert [voice.voice_id for voice in page] == ["a", "b"]
        assert page.to_dict() == {"items": [{"voice_id": "a"}, {"voice_id": "b"}]}
        assert not page.has_more
        assert await page.next_page() is None
        assert [voice async for voice in client.paginate(LIST_WHOLE.request(), {})] == page.items
    async with answering(json=[]) as client:
        assert [voice async for voice in client.paginate(LIST_WHOLE.request(), {})] == []


@pytest.mark.anyio
@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": {}}, {"calls": []}])
async def test_an_answer_that_is_no_page_is_an_error_and_not_an_empty_list(body: dict[str, Any]) -> None:
    async with answering(json=body) as client:
        with pytest.raises(APIResponseValidationError, match="no page") as caught:
            await client.paginate(LIST.request(), {})
    assert caught.value.body == body


@pytest.mark.anyio
@pytest.mark.parametrize("request_", [LIST.request(), LIST_BY_POST.request()])
@pytest.mark.parametrize("body", [{"message": "temporarily unavailable"}, {"items": None, "has_more": True}, {"items": {}}, None, [1], "x"])
async def test_a_page_of_another_shape_is_asked_for_again(request_: Request[Any], body: object) -> None:
    answers = [
        httpx.Response(200, json={"items": [1], "has_more": True, "pagination_key": "a"}),
        httpx.Response(200, json=body),
        httpx.Response(200, json={"items": [2], "has_more": False}),
    ]
    retry = RetryPolicy(first_delay=0.001)
    async with client_of(lambda _: answers.pop(0), max_retries=1, retry=retry) as client:
        assert [item async for item in client.paginate(request_, {})] == [1, 2]


@pytest.mark.anyio
async def test_a_list_that_names_the_same_page_again_ends_in_an_error() -> None:
    async with answering(json={"items": [1], "has_more": True, "pagination_key": "a"}) as client:
        items = aiter(client.paginate(LIST.request(), {}))
        assert [await anext(items), await anext(items)] == [1, 1]
        with pytest.raises(APIResponseValidationError, match="pagination_key"):
            await anext(items)


def walked(keys: Sequence[str | None], items: int = 1) -> int:
    """How many pages a walk over these keys takes before it is noticed that it has no end."""
    walk = Walk()
    for number, key in enumerate(keys, 1):
        try:
            walk.step(key, items)
        except ValueError:
            return number
    return 0


@pytest.mark.parametrize("before", [0, 1, 5, 100])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 50])
def test_every_circle_of_pages_is_noticed(before: int, length: int) -> None:
    circle = [f"c{number}" for number in range(length)]
    noticed = walked([f"b{number}" for number in range(before)] + circle * 1000)
    assert before + length < noticed <= 3 * (before + length) + 1


def test_a_long_walk_and_empty_pages_between_are_fine() -> None:
    assert not walked([str(number) for number in range(10_000)])
    assert not walked([*map(str, range(MOST_EMPTY_PAGES - 1)), None], items=0)
    assert walked([str(number) for number in range(100)], items=0) == MOST_EMPTY_PAGES
    walk = Walk()
    for number in range(1000):
        walk.step(str(number), number % 10)


def test_what_is_skipped_is_skipped_once() -> None:
    following = next_request(LIST_BY_POST.request(body={"skip": 100, "limit": 5}), {"has_more": True, "pagination_key": "b"})
    assert following == LIST_BY_POST.request(body={"limit": 5, "pagination_key": "b"})


@pytest.mark.anyio
async def test_a_list_of_nothing_but_empty_pages_ends_in_an_error() -> None:
    requests: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"items": [], "has_more": True, "pagination_key": str(len(requests))})

    async with client_of(serve) as client:
        with pytest.raises(APIResponseValidationError, match="20 pages in a row are empty"):
            assert [item async for item in client.paginate(LIST.request(), {})] == []
    assert len(requests) == MOST_EMPTY_PAGES


@pytest.mark.anyio
async def test_a_list_goes_on_where_it_was_left() -> None:
    requests: list[httpx.Request] = []
    async with server(3, requests) as client:
        page: AsyncPage[Any] = await client.paginate(LIST.request(query={"limit": 2}), {})
        again = client.paginate(LIST.request(query={"limit": 2, "pagination_key": page.pagination_key}), {})
        assert [item["n"] async for item in again] == [2, 3, 4, 5]


@pytest.mark.anyio
async def test_a_list_can_be_gone_on_with_after_an_error() -> None:
    answers = [
        httpx.Response(200, json={"items": [1], "has_more": True, "pagination_key": "a"}),
        httpx.Response(500),
        httpx.Response(200, json={"items": [2], "has_more": False}),
    ]
    async with client_of(lambda _: answers.pop(0)) as client:
        items = aiter(client.paginate(LIST.request(), {}))
        assert await anext(items) == 1
        with pytest.raises(InternalServerError):
            await anext(items)
        assert [item async for item in items] == [2]


@pytest.mark.anyio
async def test_raw_answers() -> None:
    async with server(2, []) as client:
        raw = await ThingResource(client).with_raw_response.list(limit=2)
        assert (raw.status_code, raw.json()["has_more"]) == (200, True)
        page = raw.parse()
        assert page is raw.parse()
        assert [item["n"] for item in page] == [0, 1]
        following = await page.next_page()
        assert following is not None
        assert following[0] == {"n": 2}
    content = httpx.Response(200, json={"thing_id": "1"}).stream
    async with answering(stream=content, headers={"x-request-id": "r1"}) as client:
        one = await ThingResource(client).with_raw_response.retrieve("1")
        assert one.parse() == UnknownObject(thing_id="1")
        assert one.parse() is one.parse()
        assert one.json() == {"thing_id": "1"} == json.loads(one.text()) == json.loads(one.content)
        assert (one.headers["x-request-id"], one.request_id) == ("r1", "r1")
        assert one.http_request.url.path == "/prefix/get-thing/1"
        assert one.elapsed.total_seconds() >= 0
        assert repr(one) == f"RawResponse(200, {len(one.content)} bytes)"


@pytest.mark.anyio
async def test_a_list_without_pages_is_a_list() -> None:
    async with answering(json=[{"voice_id": "a"}, {"voice_id": "b"}]) as client:
        page = await client.paginate(LIST_WHOLE.request(), {})
        raw = await raw_page(client, LIST_WHOLE.request(), {})
    assert issubclass(AsyncListPage, list)
    assert isinstance(page, AsyncListPage)
    assert (page == [*page], len(page), page.items is page, page[:1], page.copy()) == (True, 2, True, [page[0]], [*page])
    assert type(page.copy()) is list
    page.append(UnknownObject(voice_id="c"))
    assert page.to_dict() == {"items": [{"voice_id": "a"}, {"voice_id": "b"}, {"voice_id": "c"}]}
    assert (page.has_more, page.pagination_key, page.total, await page.next_page()) == (False, None, None, None)
    assert isinstance(raw.parse(), list)
    assert raw.parse() is raw.parse()
    for again in (copy.copy(page), copy.deepcopy(page), pickle.loads(pickle.dumps(page))):
        assert (type(again), again, again.to_dict()) == (AsyncListPage, page, page.to_dict())


@pytest.mark.anyio
async def test_a_page_is_json_without_its_client() -> None:
    async with server(2, []) as client:
        page = await client.paginate(LIST.request(query={"limit": 2}), {})
    said = {"items": [{"n": 0}, {"n": 1}], "has_more": True, "pagination_key": page.pagination_key}
    assert page.to_dict() == page.model_dump() == page.dict() == json.loads(page.model_dump_json()) == json.loads(page.to_json()) == said
    assert vars(page) == {**said, "items": page.items}
    assert json.loads(json.dumps(page, default=vars)) == said
    assert dict(cast("Any", page)) == {**cast("Any", page)} == {**said, "items": page.items}
    for again in (copy.copy(page), copy.deepcopy(page), pickle.loads(pickle.dumps(page))):
        assert (again.items, again.pagination_key) == (page.items, page.pagination_key)
        assert client not in again.__getstate__().values()
        with pytest.raises(RuntimeError, match="give its pagination_key to the list"):
            await again.next_page()


@pytest.mark.anyio
async def test_every_page_is_asked_for_with_what_can_be_gone_through_once() -> None:
    requests: list[httpx.Request] = []
    async with server(3, requests) as client:
        asked = LIST_BY_POST.request(body={"limit": 2, "filter_criteria": {"agent": [{"ids": (item for item in "ab")}]}})
        calls = client.paginate(asked, {"extra_query": {"x": iter("cd")}})
        assert len([item async for item in calls]) == len([item async for item in calls]) == 6
    assert len(requests) == 6
    for request in requests:
        assert json.loads(request.content)["filter_criteria"] == {"agent": [{"ids": ["a", "b"]}]}
        assert request.url.params.get_list("x[]") == ["c", "d"]


@pytest.mark.anyio
async def test_a_page_that_cannot_be_made_can_be_shown_in_a_traceback() -> None:
    async with answering(200, json={"message": "try later"}) as client:
        raw = await client.call.with_raw_response.list()
        with pytest.raises(APIResponseValidationError) as raised:
            raw.parse()
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert "the answer is no page" in shown
    half = AsyncPage.__new__(AsyncPage)
    assert repr(half) == "AsyncPage()"


def test_a_page_that_is_made_has_no_client() -> None:
    page = AsyncPage[Any](items=[1], has_more=True, pagination_key="a")
    assert (page.items, page.has_more, page.pagination_key, page.to_dict()["items"]) == ([1], True, "a", [1])
    with pytest.raises(RuntimeError, match="copied or made"):
        page._next()
    with pytest.raises(TypeError, match="AsyncPage needs items"):
        AsyncPage[Any](has_more=True)
    listed = AsyncListPage([1, 2])
    assert (listed, listed.items, listed.to_dict(), bool(AsyncListPage())) == ([1, 2], [1, 2], {"items": [1, 2]}, False)
    listed.items = [3]
    assert listed == [3]


@pytest.mark.anyio
async def test_copies_of_a_page_are_equal_to_it_and_stay_as_they_are() -> None:
    async with server(2, []) as client:
        page = await client.paginate(LIST.request(), {})
    for made in (copy.copy(page), copy.deepcopy(page), pickle.loads(pickle.dumps(page)), page.model_copy()):
        assert made == page
        made.items = []
        made.total = 7
        assert (made.to_dict()["items"], made.total, made != page) == ([], 7, True)
        assert len(page.items) == 2
    assert page != page.items
    with pytest.raises(TypeError, match="unhashable"):
        hash(page)


@pytest.mark.anyio
async def test_a_field_that_is_not_known_is_one_of_a_page() -> None:
    async with server(2, []) as client:
        page: Any = await client.paginate(LIST.request(), {})
    one: Any
    for one in (page, AsyncListPage([1]), type(page).from_dict({**page.to_dict(), "new": 1})):
        one.new = 1
        one.marks = ["a"]
        assert (one.new, one.to_dict()["new"], one.model_dump()["marks"]) == (1, 1, ["a"])
        for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one)), one.model_copy()):
            assert (again.new, again == one) == (1, True)
        del one.new
        assert "new" not in one.to_dict()
        with pytest.raises(AttributeError, match="'new'"):
            _ = one.new
        with pytest.raises(AttributeError, match="new"):
            del one.new


@pytest.mark.anyio
async def test_the_fields_of_a_page_can_be_deleted() -> None:
    async with server(2, []) as client:
        page: Any = await client.paginate(LIST.request(), {})
    page.total = 9
    for name in ("has_more", "pagination_key", "total", "items"):
        delattr(page, name)
        assert name not in page.to_dict()
        with pytest.raises(AttributeError, match=name):
            delattr(page, name)
    assert (page.has_more, page.pagination_key, page.total) == (False, None, None)
    assert not hasattr(page, "items")
    assert "(0 items" in repr(page)
    with pytest.raises(AttributeError):
        del page.to_dict


def test_a_task_says_which_list_it_fetches() -> None:
    async def shown() -> str:
        async with server(2, []) as client:
            task = asyncio.create_task(client.paginate(LIST.request(), {}))
            await task
            return repr(task)

    assert f"coro=<{LIST.id}()>" in asyncio.run(shown())
