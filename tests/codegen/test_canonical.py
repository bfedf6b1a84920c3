from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from codegen.canonical import KEPT_EXTENSIONS, PROSE, canonical
from codegen.document import Json, dump, load
from codegen.revisions.checked import parse

from .revisions import REVISIONS, Revision
from .small import STRING, array, content, document, enum, object_, operation, ref, refused

NAMES = st.sampled_from(
    ["description", "summary", "tags", "example", "title", "required", "properties", "enum", "x-name", "default", "items"]
)


def described(schema: Json) -> Json:
    return {**schema, "description": "Words.", "example": 1, "title": "A few words", "externalDocs": {"url": "x"}, "x-internal": "words"}


leaves = st.builds(
    lambda base, more: {**base, **more},
    st.sampled_from([STRING, {"type": "integer"}, enum("b", "a"), {"type": "string", "default": {"description": "kept"}}, ref("A")]),
    st.sampled_from([{}, {"minimum": 1}, {"nullable": True}, {"deprecated": True}, {"pattern": "^a"}, {"title": "Word"}]),
).map(described)
schemas = st.recursive(
    leaves,
    lambda inner: (
        st.dictionaries(NAMES, inner, max_size=3).map(lambda fields: described(object_(*list(fields)[::-1], **fields)))
        | inner.map(array)
        | st.lists(inner, min_size=1, max_size=3).map(lambda members: {"oneOf": members, "discriminator": {"propertyName": "description"}})
    ),
    max_leaves=8,
)


def documents(schema: Json, tags: list[str]) -> Json:
    made = document(
        {
            "/b/{z}/{a}": {
                "parameters": [{"name": name, "in": "path", "required": True, "schema": STRING, "description": "w"} for name in "az"],
                "get": operation("b", schema, tags=tags, summary="Words.", description="Words."),
            },
            "/a": {"get": operation("a", parameters=[{"name": name, "in": "query", "schema": schema} for name in ("y", "x")])},
        },
        {"B": schema, "A": STRING},
    )
    made["info"]["description"] = "Words."
    return {**made, "tags": [{"name": tag} for tag in tags], "externalDocs": {}}


def shuffled(value: Any, randomness: random.Random, key: str = "") -> Any:
    """The same document in another order, wherever order says nothing."""
    if isinstance(value, dict):
        items = list(value.items())
        randomness.shuffle(items)
        return {name: item if name == "default" else shuffled(item, randomness, name) for name, item in items}
    if isinstance(value, list):
        items = [shuffled(item, randomness) for item in value]
        if key in ("required", "enum", "parameters"):
            randomness.shuffle(items)
        return items
    return value


def facts(value: Any, path: tuple[str, ...] = (), *, names: bool = False) -> Iterator[tuple[Any, ...]]:
    """Every fact of a document with its place, told apart from prose independently of how `canonical` does it."""
    if isinstance(value, dict) and (names or path[-1:] != ("default",)):
        for key, item in value.items():
            if not names and (
                key in PROSE or (key.startswith("x-") and key not in KEPT_EXTENSIONS) or (key == "title" and path != ("info",))
            ):
                continue
            if names and isinstance(item, dict):  # a field that may be called `default`
                yield from facts(item, (*path, f"<{key}>"))
            else:
                yield from facts(item, (*path, key), names=key in ("properties", "schemas"))
    elif isinstance(value, list) and path[-1] in ("required", "enum"):
        yield from ((*path, json.dumps(item)) for item in value)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            place = str(item.get("name", item.get("$ref"))) + str(item.get("in")) if path[-1] == "parameters" else str(index)
            yield from facts(item, (*path, place))
    else:
        yield (*path, json.dumps(value))


@given(schemas, st.lists(st.text(max_size=3), max_size=2), st.randoms(use_true_random=True))
def test_canonical_form(schema: Json, tags: list[str], randomness: random.Random) -> None:
    said = documents(schema, tags)
    before = json.dumps(said)
    made = canonical(said)
    assert json.dumps(said) == before
    text = json.dumps(made)
    assert json.dumps(canonical(made)) == text
    assert json.dumps(canonical(shuffled(said, randomness))) == text
    assert "Words" not in text
    assert "few words" not in text
    assert set(facts(made)) == set(facts(said))


@pytest.mark.parametrize("revision", REVISIONS, ids=str)
def test_a_whole_revision_keeps_its_facts_and_loses_its_prose(revision: Revision) -> None:
    said = revision.load()
    made = canonical(said)
    assert json.dumps(canonical(made)) == json.dumps(made)
    assert set(facts(made)) == set(facts(said))
    titles = [item for path, item in _strings(made) if path not in ("pattern", "default", "enum", "version") and " " in item]
    assert titles in ([], [made["info"]["title"]])


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, key)
    elif isinstance(value, str):
        yield key, value


def test_it_is_written_as_it_is_read() -> None:
    made = canonical(REVISIONS[0].load())
    assert load(dump(made), "again") == made
    assert dump(load(dump(made), "again")) == dump(made)


def test_what_is_named_like_prose_is_kept() -> None:
    fields = dict.fromkeys(("description", "example", "tags", "title", "x-thing"), STRING)
    made = canonical(
        document(
            {}, {"A": {**object_(**fields), "discriminator": {"propertyName": "tags", "mapping": {"description": "#/x", "x-y": "#/y"}}}}
        )
    )
    assert made["components"]["schemas"]["A"]["properties"] == fields
    assert made["components"]["schemas"]["A"]["discriminator"]["mapping"] == {"description": "#/x", "x-y": "#/y"}


def test_status_codes_may_be_numbers_and_dates_are_texts() -> None:
    text = "openapi: 3.0.3\ninfo: {title: T, version: 2026-01-01}\npaths: {/a: {get: {responses: {200: {description: words}}}}}"
    made = canonical(load(text, "small"))
    assert made["info"]["version"] == "2026-01-01"
    assert made["paths"]["/a"]["get"]["responses"] == {"200": {"description": ""}}


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ({"openapi": "2.0"}, "/openapi"),
        ({"openapi": 3.1}, "/openapi"),
        ({"info": None}, "/info"),
        ({"paths": []}, "/paths"),
        ({"paths": {"/a": {"$ref": "#/x"}}}, "/paths/~1a/$ref"),
    ],
)
def test_what_is_no_document_or_lies_elsewhere_is_refused(broken: Json, where: str) -> None:
    assert refused(lambda made: canonical(parse(json.dumps(made).encode(), "it")), {**document({}), **broken})[0] == where


@pytest.mark.parametrize("keyword", ["oneOf", "anyOf"])
def test_a_union_of_values_is_an_enum(keyword: str) -> None:
    union = [{"const": "a", "title": "A", "description": "The first."}, {"type": "string", "const": "b"}]
    said = {"a": {"post": {**operation(), "responses": {"200": {"description": "", **content({keyword: union, "default": "b"})}}}}}
    made = canonical(parse(json.dumps({**document({"/a": said["a"]}), "openapi": "3.1.0"}).encode(), "it"))
    schema = made["paths"]["/a"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"type": "string", "enum": ["a", "b"], "default": "b"}


def test_servers_of_a_path_are_those_of_its_operations_that_have_none() -> None:
    one, other = [{"url": "https://one.test"}], [{"url": "https://other.test"}]
    item = {"servers": one, "get": {"responses": {}}, "post": {"servers": other, "responses": {}}}
    made = canonical(document({"/a": item}))["paths"]["/a"]
    assert (made["get"]["servers"], made["post"]["servers"], made.keys()) == (one, other, {"get", "post"})


@pytest.mark.parametrize("text", ["a: [", "- a", "a: 1\na: 2", ""])
def test_a_text_that_is_no_document_is_refused(text: str) -> None:
    assert refused(lambda _: load(text, "that.yaml"), {})[1].startswith("that.yaml")
