"""What the official SDK exports is found here under the same names, and costs nothing before it is asked for."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from typing import Any, cast

import httpx
import pytest
import retell
import retell.resources
import retell.types

import retell_async
import retell_async.resources
import retell_async.types
from retell_async._core.errors import outcome_unknown
from retell_async.resources._operations import METHODS

ALL = [module.name for module in pkgutil.iter_modules(retell.types.__path__)]
MODULES = [name for name in ALL if name.endswith("_params")]
ANSWERS = [name for name in ALL if not name.endswith("_params")]


def test_all_that_it_exports() -> None:
    assert [name for name in retell.__all__ if not hasattr(retell_async, name)] == []


@pytest.mark.parametrize("name", ["retell", "retell.types", "retell.resources"])
def test_all_that_a_star_import_gives(name: str) -> None:
    theirs: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    exec(f"from {name} import *", theirs)
    exec(f"from {name.replace('retell', 'retell_async', 1)} import *", ours)
    wanted = {one for one in theirs if one[0] != "_" and not inspect.ismodule(theirs[one])}
    assert len(wanted) > 30
    assert wanted - gone() - {"annotations"} <= ours.keys()


def test_a_method_that_is_gone_is_missing_and_says_what_to_use() -> None:
    with retell_async.Retell("key_1") as client:
        for resource in (client.agent, client.chat_agent, retell_async.AsyncRetell("key_1").agent):
            for one in (resource, resource.with_raw_response, resource.with_streaming_response):
                assert not hasattr(one, "get_versions")
                assert "get_versions" not in dir(one)
                with pytest.raises(AttributeError, match=r"get_versions is gone: .* Use client\.agent\.list_versions instead"):
                    cast("Any", one).get_versions()
                with pytest.raises(AttributeError, match="object has no attribute 'nothing'"):
                    cast("Any", one).nothing()


def test_what_has_a_public_name_is_known_by_it() -> None:
    for name in retell_async.__all__:
        thing = getattr(retell_async, name)
        if isinstance(thing, type) and thing.__name__ == name and thing not in {httpx.Timeout, retell_async.NoneType}:
            assert thing.__module__ == "retell_async", name
            assert pickle.loads(pickle.dumps(thing)) is thing
    assert str(retell_async.NotFoundError) == "<class 'retell_async.NotFoundError'>"


def test_kinds_of_what_is_unknown_are_known_by_a_public_name() -> None:
    request = httpx.Request("POST", "http://retell.test")
    error = outcome_unknown(retell_async.APITimeoutError(request), request=request)
    assert f"{type(error).__module__}.{type(error).__name__}" == "retell_async.OutcomeUnknownTimeoutError"
    assert type(pickle.loads(pickle.dumps(error))) is type(error)


def gone() -> set[str]:
    """Types of what methods answer that the official SDK still has, and the API no more."""
    client = retell.AsyncRetell(api_key="key_1")
    found: set[str] = set()
    for resource in (name for name in dir(client) if not name.startswith("_") and hasattr(getattr(client, name), "with_raw_response")):
        for name, method in inspect.getmembers(getattr(client, resource), inspect.ismethod):
            if not name.startswith("_") and f"{resource}.{name}" not in METHODS:
                found.add(str(inspect.signature(method).return_annotation).rpartition(".")[2])
    return found


def test_every_name_of_a_type() -> None:
    theirs = {name for name in dir(retell.types) if name[0].isupper()} - gone()
    assert [name for name in theirs if not hasattr(retell_async.types, name)] == []
    assert theirs <= {*dir(retell_async.types)}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_parameters(name: str) -> None:
    theirs = importlib.import_module(f"retell.types.{name}")
    ours = importlib.import_module(f"retell_async.types.{name}")
    assert [one for one in theirs.__all__ if not hasattr(ours, one)] == []
    assert getattr(retell_async.types, name) is ours
    assert getattr(retell_async.types, theirs.__all__[0]) is getattr(ours, theirs.__all__[0])


@pytest.mark.parametrize("name", [name for name in ANSWERS if not gone() & {*importlib.import_module(f"retell.types.{name}").__all__}])
def test_every_module_of_what_methods_answer(name: str) -> None:
    theirs, ours = importlib.import_module(f"retell.types.{name}"), importlib.import_module(f"retell_async.types.{name}")
    (own,) = ours.__all__
    assert own in theirs.__all__
    assert getattr(ours, own) == getattr(retell_async.types, own)
    assert getattr(retell_async.types, name) is ours
    assert name in dir(retell_async.types)


def test_a_dict_of_parameters_is_made_by_its_name() -> None:
    from retell_async.types.agent_create_params import AgentCreateParams, ResponseEngineResponseEngineRetellLm

    engine = ResponseEngineResponseEngineRetellLm(type="retell-llm", llm_id="llm_1")
    given = AgentCreateParams(response_engine=engine, voice_id="retell-Cimo")
    assert given == {"response_engine": {"type": "retell-llm", "llm_id": "llm_1"}, "voice_id": "retell-Cimo"}


def test_values_are_those_of_the_official_sdk() -> None:
    assert retell_async.DEFAULT_TIMEOUT == retell.DEFAULT_TIMEOUT
    assert retell_async.DEFAULT_MAX_RETRIES == retell.DEFAULT_MAX_RETRIES
    assert retell_async.DEFAULT_CONNECTION_LIMITS == retell.DEFAULT_CONNECTION_LIMITS
    assert retell_async.NoneType is retell.NoneType
    assert retell_async.Timeout is retell.Timeout
    assert retell_async.Transport is retell.Transport
    assert retell_async.AsyncClient is retell_async.AsyncRetell
    assert retell_async.Client is retell_async.Retell
    assert retell_async.Stream is retell_async.SyncStreamedResponse
    assert issubclass(retell_async.DefaultHttpxClient, httpx.Client)
    assert retell_async.NOT_GIVEN is retell_async.not_given is retell_async.omit
    assert isinstance(retell_async.NOT_GIVEN, retell_async.NotGiven)


def test_models_and_pages_are_base_models() -> None:
    assert isinstance(retell_async.types.PhoneCallResponse.from_dict({}), retell_async.BaseModel)
    assert issubclass(retell_async.AsyncPage, retell_async.BaseModel)
    assert not isinstance({}, retell_async.BaseModel)

    class Mine(retell_async.BaseModel):
        name: str
        age: int | None = None

    mine = Mine.from_dict({"name": "a", "more": 1})
    assert (mine.name, mine.age, mine.to_dict()) == ("a", None, {"name": "a", "more": 1})
    assert not isinstance(retell_async.types.PhoneCallResponse.from_dict({}), Mine)


def test_every_class_of_a_resource_that_awaits() -> None:
    import retell.resources

    for name in retell.resources.__all__:
        if name.startswith("Async"):
            found = getattr(retell_async.resources, name)
            module = importlib.import_module(f"retell_async.resources.{getattr(retell.resources, name).__module__.rpartition('.')[2]}")
            assert getattr(module, name) is found


def test_a_file_from_a_path() -> None:
    assert str(retell_async.file_from_path("/tmp/a.txt")) == "/tmp/a.txt"


def test_a_name_that_is_nowhere_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(retell_async, "Nothing")  # noqa: B009


def test_what_is_not_used_is_not_loaded() -> None:
    """Neither names for movers, nor the half for synchronous code, nor httpx before the first request."""
    code = """
import pkgutil, sys, retell_async
client = retell_async.AsyncRetell("key_1")
for module in pkgutil.iter_modules(retell_async.resources.__path__):
    if module.name[0] != "_":
        getattr(client, module.name)
ours = ("_official_names", "types", "_sync", "_blocking", "resources._sync", "sandbox", "llm", "webhooks")
unused = ("httpx", "httpx2", "httpcore", "h11", "aiohttp", "anyio._core", "msgspec", "pydantic", *(f"retell_async.{name}" for name in ours))
print([name for name in sys.modules if name.startswith(tuple(f"{one}." for one in unused)) or name in unused])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_half_for_synchronous_code_loads_httpx_with_the_first_request_too() -> None:
    code = """
import sys, retell_async
retell_async.Retell("key_1").call
print([name for name in ("httpx", "httpx2", "httpcore", "h11", "aiohttp", "msgspec", "pydantic") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_half_for_synchronous_code_is_found_like_all_else() -> None:
    code = """
import retell_async
assert {"Retell", "SyncPage"} <= {*dir(retell_async)}
from retell_async import *
assert Retell is retell_async.Retell and SyncPage is retell_async.SyncPage
assert retell_async.Retell.__init__.__annotations__["hooks"] is not None
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pytest_takes_no_model_for_a_test() -> None:
    assert not retell_async.types.TestCaseJobResponse.__test__
    assert pickle.loads(pickle.dumps(retell_async.AsyncPage)).__test__ is False


def test_classes_of_resources_are_those_of_the_official_sdk() -> None:
    ours, theirs = retell_async.resources, retell.resources
    names = [name for name in theirs.__all__ if not name.endswith("Response")]
    assert len(names) > 40
    for name in theirs.__all__:
        assert getattr(ours, name).__name__ == name
    with retell_async.Retell("key_1") as client:
        awaited = retell_async.AsyncRetell("key_1")
        for name in names:
            kind = getattr(ours, name)
            module = importlib.import_module(kind.__module__.replace("._sync", ""))
            assert getattr(module, name) is kind
            there: Any = awaited if name.startswith("Async") else client
            made = kind(there)
            own = getattr(there, kind.__module__.rpartition(".")[2])
            assert type(made) is type(own)
            assert type(made.with_raw_response) is getattr(ours, f"{name}WithRawResponse")
        with pytest.raises(AttributeError, match="Nothing"):
            getattr(ours, "Nothing")  # noqa: B009
