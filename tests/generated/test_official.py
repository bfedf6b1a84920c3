"""Names, lists and models of the official SDK, as they are here."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Annotated, Any, Literal, Required, Union, cast, get_args, get_origin, get_type_hints

import httpx
import pytest
import retell
import retell.types
from retell._utils import PropertyInfo
from retell._utils._transform import transform
from typing_extensions import is_typeddict

from codegen.document import resolved
from retell_async import AsyncListPage, AsyncListPaginator, AsyncPaginator, AsyncRetell
from retell_async.raw import models

from ..engine.example import MADE
from ..needed import in_pages
from .instances import DOCUMENT, SCHEMAS, Maker

OPTIONS: list[dict[str, Any]] = [
    {},
    {"by_alias": True},
    {"exclude_unset": True},
    {"exclude_none": True},
    {"exclude_defaults": True},
    {"by_alias": True, "exclude_none": True, "mode": "json"},
]


def official_modules() -> Iterator[Any]:
    for found in pkgutil.iter_modules(retell.types.__path__):
        yield importlib.import_module(f"retell.types.{found.name}")


def official_models() -> dict[str, type[retell.BaseModel]]:
    return {
        name: found
        for module in official_modules()
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, retell.BaseModel) and found.__module__ == module.__name__
    }


COMMON = sorted(name for name in official_models() if "properties" in SCHEMAS.get(name, {}))


def both(fields: Any, beside: Any) -> Any:
    """Without what is ``None`` because one of the two documents alone has the field."""
    if isinstance(fields, dict):
        return {name: both(item, beside.get(name)) for name, item in fields.items() if item is not None or name in beside}
    if isinstance(fields, list):
        return [both(item, beside[index]) for index, item in enumerate(fields)]
    return fields


def test_many_models_are_of_one_name() -> None:
    assert len(COMMON) > 20


@pytest.mark.parametrize("name", COMMON)
def test_models_of_one_name_are_dumped_the_same(name: str) -> None:
    there, here = official_models()[name], models.lookup(name)
    assert isinstance(here, type)
    said = json.dumps(Maker(Random(name)).object(SCHEMAS[name], "$", 0, sure=False))
    their, our = there.construct(**json.loads(said)), here.from_dict(json.loads(said))
    for options in OPTIONS:
        theirs, ours = their.model_dump(**{"warnings": False, **options}), our.model_dump(**options)
        assert both(ours, theirs) == both(theirs, ours)
    assert their.to_dict(warnings=False) == our.to_dict()
    assert json.loads(their.to_json(warnings=False)) == json.loads(our.to_json())
    assert our.model_fields_set - their.model_fields_set == {field for field in our.model_fields_set if field in (their.model_extra or {})}


def test_every_attribute_of_another_name_is_here_under_both() -> None:
    aliases = {
        (name, field.alias)
        for model in official_models().values()
        for name, field in model.model_fields.items()
        if field.alias is not None and field.alias != name
    }
    assert len(aliases) > 5
    for name, wire in aliases:
        kinds = [found for found in map(models.lookup, dir(models)) if isinstance(found, type) and wire in {*known(found)}]
        assert kinds
        for kind in kinds:
            made = kind.from_dict({wire: "said"})
            assert getattr(made, name) == "said"
            setattr(made, name, "changed")
            assert made.to_dict() == {wire: "changed"}


def known(kind: Any) -> Iterator[str]:
    schema = SCHEMAS.get(kind.__name__, {})
    yield from schema.get("properties", {})


@cache
def hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def aliased(annotation: Any, seen: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Values for a type, each with one field in it under another name than the API's, and with what tells unions apart."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Required, Annotated}:
        yield from aliased(arguments[0], seen)
    elif origin is Union:
        for argument in arguments:
            yield from aliased(argument, seen)
    elif is_typeddict(annotation):
        if annotation in seen:
            return
        tags = {name: values[0] for name, hint in hints(annotation).items() if (values := literals(hint)) and is_required(hint)}
        for name, hint in hints(annotation).items():
            if alias_of(hint) is not None:
                yield {**tags, name: True}
            for value in aliased(hint, (*seen, annotation)):
                yield {**tags, name: value}
                break
    elif origin is dict:
        yield from ({"additional_properties": value} for value in aliased(arguments[1], seen))
    elif arguments and origin is not Literal:
        yield from ([value] for value in aliased(arguments[0], seen))


def bare(hint: Any) -> Any:
    while get_origin(hint) in {Required, Annotated}:
        hint = get_args(hint)[0]
    return hint


def is_required(hint: Any) -> bool:
    return get_origin(hint) is Required


def literals(hint: Any) -> tuple[Any, ...]:
    return get_args(bare(hint)) if get_origin(bare(hint)) is Literal else ()


def alias_of(hint: Any) -> str | None:
    for part in (hint, *get_args(hint)):
        for said in getattr(part, "__metadata__", ()):
            if isinstance(said, PropertyInfo) and said.alias is not None:
                return said.alias
    return None


def requests_with_aliases() -> list[tuple[str, str, Any, dict[str, Any]]]:
    """Resource, method, type of its parameters and parameters, for each field that a method takes under another name."""
    client = retell.AsyncRetell(api_key="key_1")
    found: list[tuple[str, str, Any, dict[str, Any]]] = []
    for module in official_modules():
        for name, kind in vars(module).items():
            if name.endswith("Params") and is_typeddict(kind) and module.__name__.endswith("_params"):
                for resource, method in places(client, module.__name__.rpartition(".")[2].removesuffix("_params")):
                    found.extend((resource, method, kind, value) for value in aliased(kind))
    return found


def places(client: Any, name: str) -> Iterator[tuple[str, str]]:
    """The method whose parameters a module of this name has; others have what is in them."""
    for resource in dir(client):
        method = name.removeprefix(f"{resource}_")
        if not resource.startswith("_") and method != name and hasattr(getattr(client, resource), method):
            yield resource, method


REQUESTS = requests_with_aliases()


def test_there_are_requests_with_other_names() -> None:
    assert len({(resource, method) for resource, method, _, _ in REQUESTS}) > 12


@pytest.mark.anyio
@pytest.mark.parametrize(("resource", "method", "kind", "fields"), REQUESTS, ids=[f"{one[0]}.{one[1]}" for one in REQUESTS])
async def test_what_is_sent_has_the_names_of_the_api(resource: str, method: str, kind: Any, fields: dict[str, Any]) -> None:
    sent: list[Any] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(201, json=MADE)

    async with AsyncRetell("key_1", http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve)), max_retries=0) as client:
        called = getattr(getattr(client, resource), method)
        parameters = inspect.signature(called).parameters.values()
        given = {one.name: "x_1" for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD}
        positional = [given.pop(one.name) for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD and one.name in given]
        await called(*positional, **{**given, **fields})
    meant = transform(fields, kind)
    assert json.dumps(meant) != json.dumps(fields)
    assert {name: sent[0][name] for name in fields} == meant


@pytest.mark.anyio
async def test_a_name_that_a_caller_chose_stays_and_one_field_has_one_name() -> None:
    sent: list[Any] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(201, json=MADE)

    def tool(**schema: Any) -> list[Any]:
        parameters = {"type": "object", "properties": {"additional_properties": {"type": "string"}}, **schema}
        return [{"type": "custom", "name": "t", "url": "https://a.test", "description": "additional_properties", "parameters": parameters}]

    async with AsyncRetell("key_1", http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve)), max_retries=0) as client:
        variables = {"additional_properties": "1"}
        await client.llm.create(general_tools=tool(additional_properties=False), default_dynamic_variables=variables)
        await client.llm.create(general_tools=tool(additionalProperties=False), default_dynamic_variables=variables)
        with pytest.raises(ValueError, match=r"general_tools\[0\]\.parameters\.additional_properties: .* are one field, send it once"):
            await client.llm.create(general_tools=tool(additionalProperties=False, additional_properties=True))
    assert sent[0] == sent[1]
    assert sent[0]["default_dynamic_variables"] == variables
    assert sent[0]["general_tools"] == tool(additionalProperties=False)


def test_what_is_a_list_there_is_one_here() -> None:
    client = retell.AsyncRetell(api_key="key_1")
    ours = AsyncRetell("key_1")
    lists: set[str] = set()
    for resource in (name for name in dir(client) if not name.startswith("_") and hasattr(getattr(client, name), "with_raw_response")):
        for name, method in inspect.getmembers(getattr(client, resource), inspect.iscoroutinefunction):
            if name.startswith("_"):
                continue
            returned = get_type_hints(inspect.unwrap(cast("Any", method).__func__)).get("return")
            if get_origin(returned) is list:
                lists.add(f"{resource}.{name}")
                here = getattr(getattr(ours, resource), name)
                arguments = ["a_1"] if name == "get_mcp_tools" else []
                keywords = {"mcp_id": "m_1"} if name == "get_mcp_tools" else {}
                kind = AsyncPaginator if in_pages(f"{resource}.{name}") else AsyncListPaginator  # as the document has it by now
                assert isinstance(here(*arguments, **keywords), kind)
                assert get_origin(get_type_hints(here)["return"]) is kind
    assert lists == {"voice.list", "knowledge_base.list", "mcp_tool.get_mcp_tools"}
    assert issubclass(AsyncListPage, list)


def test_the_document_has_what_is_compared() -> None:
    assert resolved(DOCUMENT, SCHEMAS["ToolParameter"])["properties"].keys() >= {"additionalProperties"}
