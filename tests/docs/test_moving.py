"""What the guide for users of the official SDK says of it, and of this package beside it, is so."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import retell
import retell._response

import retell_async
from retell_async import webhooks
from retell_async._core.errors import status_error

from .blocks import ROOT

GUIDE = (ROOT / "docs" / "guides" / "moving.md").read_text()
OPTIONS = {"extra_headers", "extra_query", "extra_body", "timeout", "max_retries"}


@pytest.fixture(name="there")
def official_client() -> retell.AsyncRetell:
    return retell.AsyncRetell(api_key="key_1")


@pytest.fixture(name="here")
def our_client() -> retell_async.AsyncRetell:
    return retell_async.AsyncRetell("key_1")


def resources(client: object) -> Iterator[tuple[str, Any]]:
    for name in dir(client):
        if not name.startswith("_") and hasattr(getattr(client, name), "with_raw_response"):
            yield name, getattr(client, name)


def test_the_version_is_the_one_that_is_compared() -> None:
    assert retell.__version__ in GUIDE


def test_resources_methods_and_options(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    found = dict(resources(there))
    assert len(found) == 21
    for name, resource in found.items():
        methods = {each for each in dir(resource) if not each.startswith(("_", "with_"))}
        assert methods <= {*dir(getattr(here, name))}
    assert set(inspect.signature(there.call.retrieve).parameters) >= OPTIONS
    assert set(retell_async.RequestOptions.__annotations__) >= OPTIONS


@pytest.mark.parametrize("setting", ["api_key", "base_url", "timeout", "max_retries", "http_client", "default_headers", "default_query"])
def test_settings_of_a_client(setting: str) -> None:
    for client in (retell.AsyncRetell, retell_async.AsyncRetell):
        assert setting in inspect.signature(client).parameters


def test_defaults(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    assert there.max_retries == here.max_retries == 2
    assert there.timeout == httpx.Timeout(60, connect=5)


def test_errors_of_both() -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith("| Errors | `RetellError`"))
    for name in ("RetellError", "APIError", "APIConnectionError", "APITimeoutError", "APIResponseValidationError", "APIStatusError"):
        assert f"`{name}`" in row
        assert issubclass(getattr(retell_async, name), retell_async.RetellError)
        assert issubclass(getattr(retell, name), retell.RetellError)
    kinds = [
        name for name in dir(retell) if isinstance(getattr(retell, name), type) and issubclass(getattr(retell, name), retell.APIStatusError)
    ]
    assert all(issubclass(getattr(retell_async, name), retell_async.APIStatusError) for name in kinds)


def test_what_is_there_and_not_here(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    for part in ("iter_bytes", "iter_text", "iter_lines", "read", "text", "json", "parse"):
        assert hasattr(retell._response.AsyncAPIResponse, part)
        assert hasattr(retell_async.StreamedResponse, part)
    for verb in ("get", "post", "patch", "put", "delete"):
        theirs, ours = (inspect.signature(getattr(client, verb)).parameters for client in (there, here))
        assert theirs.keys() - ours.keys() <= {"stream", "stream_cls"}
        assert f"`{verb}`" in GUIDE or f"`client.{verb}`" in GUIDE
    for setting in inspect.signature(there.with_options).parameters:
        assert setting in {*inspect.signature(here.with_options).parameters, "_extra_kwargs"}
    for method in ("model_dump", "to_json", "model_fields_set"):
        assert hasattr(retell.BaseModel, method)
        assert not hasattr(retell_async.Model, method)


def test_names_of_both() -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith("| Names |"))
    names = re.findall(r"`(\w+)`", row.partition("exports:")[2].partition(";")[0])
    assert len(names) > 10
    for name in names:
        assert hasattr(retell, name)
        assert hasattr(retell_async, name)


def test_attributes_of_both(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith("| Attributes of a client |"))
    settable, _, readable = row.partition("which can be set")
    for name in re.findall(r"`(\w+)`", settable):
        for client in (there, here):
            setattr(client, name, getattr(client, name))
    for name in re.findall(r"`(\w+)`", readable):
        assert getattr(there, name) is not None
        assert getattr(here, name) is not None


def test_members_of_raw_responses() -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith("| Raw responses |"))
    for name in re.findall(r"`(?:await raw\.)?(\w+)(?:\(\))?`", row):
        assert hasattr(retell._response.AsyncAPIResponse, name)
        assert hasattr(retell_async.RawResponse, name)


def test_raw_answers_are_awaited_there() -> None:
    for method in ("parse", "text", "json"):
        assert inspect.iscoroutinefunction(getattr(retell._response.AsyncAPIResponse, method))
        assert not inspect.iscoroutinefunction(getattr(retell_async.RawResponse, method))


def test_verifying(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    body = "{}"
    official: Any = retell.Retell(api_key="key_1")
    assert not hasattr(there, "verify")
    signature = webhooks.sign(body, "key_1")
    assert official.verify(body, "key_1", signature) is here.verify(body, "key_1", signature) is True
    assert official.verify(body, "key_2", signature) is here.verify(body, "key_2", signature) is False
    with pytest.raises(retell_async.WebhookVerificationError):
        webhooks.verify(body, "key_2", signature)


def test_the_text_of_an_error() -> None:
    response = httpx.Response(
        404, json={"status": "error", "message": "no such call"}, request=httpx.Request("GET", "http://retell.test/a")
    )
    theirs = retell.AsyncRetell(api_key="key_1")._make_status_error_from_response(response)
    ours = status_error(response)
    assert (ours.message, ours.body, ours.status_code) == (theirs.message, theirs.body, theirs.status_code)
    assert str(ours) == f"{theirs} (GET /a)"
    assert type(ours).__name__ == type(theirs).__name__


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(retell.RetellError):
        retell.AsyncRetell()
    with pytest.raises(retell_async.ConfigurationError):
        retell_async.AsyncRetell()
