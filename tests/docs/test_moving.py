"""What the guide for users of the official SDK says of it, and of this package beside it, is so."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import retell
import retell._response

import retell_async
from retell_async import webhooks

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
    for name in ("NOT_GIVEN", "not_given", "Timeout", "file_from_path"):
        assert hasattr(retell, name)
        assert not hasattr(retell_async, name)
    for part in ("iter_bytes", "iter_text", "iter_lines", "read", "text", "json", "parse"):
        assert hasattr(retell._response.AsyncAPIResponse, part)
        assert hasattr(retell_async.StreamedResponse, part)
    for verb in ("get", "post", "patch", "put", "delete"):
        assert "cast_to" in inspect.signature(getattr(there, verb)).parameters
    for setting in ("http_client", "set_default_headers", "set_default_query"):
        assert setting in inspect.signature(there.with_options).parameters
        assert setting not in inspect.signature(here.with_options).parameters
    for method in ("model_dump", "to_json", "model_fields_set"):
        assert hasattr(retell.BaseModel, method)
        assert not hasattr(retell_async.Model, method)


def test_raw_answers_are_awaited_there() -> None:
    for method in ("parse", "text", "json"):
        assert inspect.iscoroutinefunction(getattr(retell._response.AsyncAPIResponse, method))
        assert not inspect.iscoroutinefunction(getattr(retell_async.RawResponse, method))


def test_verifying(there: retell.AsyncRetell) -> None:
    body = "{}"
    official: Any = retell.Retell(api_key="key_1")
    assert not hasattr(there, "verify")
    assert official.verify(body, "key_1", webhooks.sign(body, "key_1")) is True
    with pytest.raises(retell_async.WebhookVerificationError):
        webhooks.verify(body, "key_2", webhooks.sign(body, "key_1"))


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(retell.RetellError):
        retell.AsyncRetell()
    with pytest.raises(retell_async.ConfigurationError):
        retell_async.AsyncRetell()
