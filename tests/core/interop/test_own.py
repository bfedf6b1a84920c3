"""Models that a program makes for itself, as it does with the official SDK: what they read as, and what they refuse to promise."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import typing
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import field as dataclass_field
from datetime import datetime
from enum import Enum
from functools import cached_property
from types import ModuleType, new_class
from typing import (  # noqa: UP035
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Dict,
    Generic,
    List,
    Literal,
    NewType,
    Optional,
    Self,
    TypeVar,
    Union,
    get_type_hints,
)

import attrs
import httpx
import pydantic
import pytest
import retell
from annotated_types import Ge
from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from retell_async import BaseModel, Model, Retell, SyncPage, types
from retell_async._core import model
from retell_async._core.model import decoder
from retell_async.types import CallAnalysis, CallListResponse, CallResponse, MCPToolDefinition, PhoneCallResponse, ToolParameter

from .test_models import CALL

if TYPE_CHECKING:
    from retell_async.types import CallAnalysis as Analysis

T = TypeVar("T")


class Size(TypedDict):
    """An object that stays a dict."""

    height: int


class Part(BaseModel):
    """What is in a `Thing`."""

    number: int = 7


class Thing(BaseModel):
    """A model with each way to say a default."""

    kinds: ClassVar[list[str]] = ["a"]
    path: str
    also: str = Field(description="It must be there.")
    n: int = 3
    m: Annotated[int, Field(description="How many.")] = 4
    o: Annotated[int, Field(default=5)]
    p: int = Field(6, title="P")
    tags: list[str] = []  # noqa: RUF012
    names: list[str] = Field(default_factory=lambda: ["x"])
    counts: dict[str, int] = attrs.field(factory=dict)
    part: Part = Part(number=8)
    parts: list[Part] | None = None
    named: dict[str, Part] | None = None
    call: CallResponse | None = None
    size: Size | None = None
    choice: Literal["a", "b"] = "b"
    numbers: Sequence[int] = ()
    thing: Thing | None = None
    later: Later | None = None


class Later(BaseModel):
    """It is defined after what holds it."""

    x: str = "later"


class Mine(PhoneCallResponse):
    """A response with a field of one's own, and another class for one that it has."""

    priority: int = 5
    labels: list[str] = []  # noqa: RUF012
    call_analysis: MyAnalysis | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class MyAnalysis(CallAnalysis):
    """It is defined after what holds it, too."""

    score: float = 0.5


DEFAULTS: dict[str, Any] = {
    "n": 3,
    "m": 4,
    "o": 5,
    "p": 6,
    "tags": [],
    "names": ["x"],
    "counts": {},
    "part": Part(number=8),
    "choice": "b",
    "numbers": (),
    **dict.fromkeys(("parts", "named", "call", "size", "thing", "later")),
}


def cast() -> Thing:
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"path": "/x", "also": "y"})))
    with Retell("key_1", http_client=http) as client:
        return client.get("/x", cast_to=Thing)


MADE: dict[str, Callable[[], Thing]] = {
    "keywords": lambda: Thing(path="/x", also="y"),
    "from_dict": lambda: Thing.from_dict({"path": "/x", "also": "y"}),
    "model_validate": lambda: Thing.model_validate({"path": "/x", "also": "y"}),
    "construct": lambda: Thing.construct(path="/x", also="y"),
    "pydantic": lambda: pydantic.TypeAdapter(Thing).validate_python({"path": "/x", "also": "y"}),
    "pickle": lambda: pickle.loads(pickle.dumps(Thing(path="/x", also="y"))),
    "cast_to": cast,
}


@pytest.mark.parametrize("way", MADE)
def test_defaults_hold_however_a_model_is_made(way: str) -> None:
    made = MADE[way]()
    assert type(made) is Thing
    dumped = made.model_dump()
    assert dumped == {"path": "/x", "also": "y", **DEFAULTS, "part": {"number": 8}}
    assert made.to_dict() == made.model_dump(exclude_defaults=True) == {"path": "/x", "also": "y"}
    assert made.to_dict(exclude_unset=False) == dumped
    assert {name: getattr(made, name) for name in DEFAULTS} == DEFAULTS
    assert made.model_fields_set >= {"path", "also"}


def test_the_same_as_with_the_official_sdk() -> None:
    class There(retell.BaseModel):
        path: str
        n: int = 3
        tags: list[str] = []  # noqa: RUF012
        names: list[str] = Field(default_factory=lambda: ["x"])

    class Here(BaseModel):
        path: str
        n: int = 3
        tags: list[str] = []  # noqa: RUF012
        names: list[str] = Field(default_factory=lambda: ["x"])

    givens: list[dict[str, Any]] = [{}, {"n": 3}, {"n": 4, "tags": ["a"]}]
    for given in givens:
        there, here = There(path="/x", **given), Here(path="/x", **given)
        for options in ({}, {"exclude_unset": True}, {"exclude_defaults": True}, {"exclude_none": True}):
            assert here.model_dump(**options) == there.model_dump(**options)  # type: ignore[arg-type]
        assert (here.to_dict(), here.model_fields_set) == (there.to_dict(), there.model_fields_set)


def test_each_model_has_a_default_of_its_own_which_may_be_changed() -> None:
    first, second = Thing(path="/x", also="y"), Thing(path="/x", also="y")
    first.tags.append("a")
    first.part.number = 9
    first.counts["a"] = 1
    assert (first.tags, first.part.number, first.counts, first.model_dump()["tags"]) == (["a"], 9, {"a": 1}, ["a"])
    assert (second.tags, second.part.number, second.counts) == ([], 8, {})
    first.n = 10
    assert (first.n, first.to_dict()["n"], second.n) == (10, 10, 3)
    del first.n
    assert first.n == 3


def test_what_is_required_and_has_no_default_must_be_there() -> None:
    with pytest.raises(ValueError, match="Thing needs also"):
        Thing(path="/x")
    with pytest.raises(ValueError, match=r"Thing needs thing\.path, thing\.also"):
        Thing.model_validate({"path": "/x", "also": "y", "thing": {}})


def test_models_inside_are_models() -> None:
    said = {"path": "/x", "also": "y", "part": {}, "parts": [{"number": 1}], "named": {"a": {}}, "call": CALL, "size": {"height": 1}}
    for made in (Thing.from_dict({**said, "thing": said, "later": {}}), Thing(**said, thing=said, later={})):
        assert made.thing is not None
        for one in (made, made.thing):
            assert one.parts is not None
            assert one.named is not None
            assert [one.part.number, one.parts[0].number, one.named["a"].number, type(one.call)] == [7, 1, 7, PhoneCallResponse]
            assert type(one.size) is dict
        assert made.later is not None
        assert made.later.x == "later"


def test_a_response_with_fields_of_ones_own() -> None:
    for mine in (Mine(**CALL), Mine.from_dict(CALL), Mine.model_validate(CALL)):
        assert (mine.priority, mine.labels, mine.call_cost, mine.to_dict(), isinstance(mine, PhoneCallResponse)) == (
            *(5, [], None, {**CALL, "labels": []}),
            True,
        )
        assert (mine.model_dump()["priority"], mine.model_dump()["call_analysis"]["score"]) == (5, 0.5)
        assert mine.call_analysis is not None
        assert (mine.call_analysis.score, mine.call_analysis.call_summary) == (0.5, "short")
    assert type(PhoneCallResponse.from_dict(CALL).call_analysis) is CallAnalysis

    class More(Mine):
        """It has what the class has that it is made of."""

        priority: int = 6

    assert (More(**CALL).priority, More(**CALL).labels, Mine(**CALL).priority) == (6, [], 5)


def test_a_class_made_in_a_function_knows_what_is_there() -> None:
    class Inner(BaseModel):
        a: int = 1

    class Outer(BaseModel):
        inner: Inner
        inners: list[Inner] = Field(default_factory=list)

    assert Outer.from_dict({"inner": {}, "inners": [{}]}).inners[0].a == Outer(inner={}).inner.a == 1


def test_the_schema_has_the_defaults() -> None:
    said = pydantic.TypeAdapter(Later).json_schema(mode="serialization")
    assert said["properties"] == {"x": {"type": "string", "title": "X", "default": "later"}}
    assert "required" not in said


def test_the_schema_says_that_more_fields_may_come_and_that_what_is_left_out_is_none() -> None:
    class Theirs(retell.BaseModel):
        a: str
        b: int | None = None

    class Ours(BaseModel):
        a: str
        b: int | None = None

    there, here = Theirs.model_json_schema(), Ours.model_json_schema()
    assert here | {"title": ""} == there | {"title": ""}
    assert (here["additionalProperties"], here["properties"]["b"]["default"]) == (True, None)
    found, expected = types.VoiceResponse.model_json_schema(), retell.types.VoiceResponse.model_json_schema()
    assert found["additionalProperties"] == expected["additionalProperties"]
    assert [name for name in found["required"] if name in expected["properties"]] == expected["required"]  # the API may have more by now
    assert found["properties"]["accent"] == expected["properties"]["accent"]


def configured(**body: Any) -> Callable[[type[Model]], object]:
    """A class with this in its body."""
    annotations: dict[str, Any] = {name: Any for name in body if name in {"a", "_a"}}
    return lambda base: make("Made", (base,), {"__module__": __name__, "__annotations__": annotations, **body})


def annotated(hint: Any) -> Callable[[type[Model]], object]:
    return lambda base: make("Made", (base,), {"__module__": __name__, "__annotations__": {"a": hint}})


def make(name: str, bases: tuple[type, ...], body: dict[str, Any]) -> object:
    return new_class(name, bases, exec_body=lambda space: space.update(body))


class Paint(Enum):
    """What JSON does not have."""

    RED = "red"


def validated(base: type[Model]) -> object:
    class Made(base):  # type: ignore[misc, valid-type]
        a: int

        @pydantic.field_validator("a")
        @classmethod
        def check(cls, value: int) -> int:
            return value

    return Made


def computed(base: type[Model]) -> object:
    class Made(base):  # type: ignore[misc, valid-type]
        @pydantic.computed_field  # type: ignore[prop-decorator]
        @property
        def a(self) -> int:
            return 1

    return Made


def generic(base: type[Model]) -> object:
    class Made(base, Generic[T]):  # type: ignore[misc, valid-type]
        a: T

    return Made


def forbidding(base: type[Model]) -> object:
    class Made(base, extra="forbid"):  # type: ignore[call-arg, misc, valid-type]
        a: int

    return Made


REFUSED: dict[str, tuple[str, Callable[[type[Model]], object]]] = {
    "alias": (r"a = Field\((validation_)?alias=\.\.\.\)", configured(a=Field(alias="b"))),
    "exclude": (r"a = Field\(exclude=\.\.\.\)", configured(a=Field(1, exclude=True))),
    "condition": ("a condition on a", configured(a=Field(1, ge=0))),
    "condition elsewhere": ("a: Ge", annotated(Annotated[int, Ge(0)])),
    "alias elsewhere": (r"a = Field\(", annotated(Annotated[int, Field(alias="b")])),
    "validator elsewhere": ("a: AfterValidator", annotated(Annotated[int, pydantic.AfterValidator(int)])),
    "not read yet": ("a: Annotated", annotated("Annotated[NotYet, Field(alias='b')]")),
    "factory of others": ("the default_factory of a", configured(a=Field(default_factory=lambda said: said["b"]))),
    "factory of itself": ("the default of a", configured(a=attrs.field(default=attrs.Factory(list, takes_self=True)))),
    "validator of attrs": (r"a = field\(validator=\.\.\.\)", configured(a=attrs.field(default=1, validator=print))),
    "converter of attrs": (r"a = field\(converter=\.\.\.\)", configured(a=attrs.field(default=1, converter=int))),
    "no annotation": ("b, made by pydantic.fields.FieldInfo", configured(b=Field(1))),
    "no annotation of attrs": ("b, made by attr", configured(b=attrs.field(default=1))),
    "of dataclasses": ("a, made by dataclasses.Field", configured(a=dataclass_field(default=1))),
    "field_validator": ("check, made by pydantic", validated),
    "computed_field": ("a, made by pydantic", computed),
    "private": ("the private attribute _a", configured(_a=1)),
    "PrivateAttr": ("_b, made by pydantic", configured(_b=pydantic.PrivateAttr(1))),
    "cached_property": ("the cached_property b", configured(b=cached_property(len))),
    "model_post_init": ("model_post_init", configured(model_post_init=lambda *_: None)),
    "model_config": ("extra='forbid'", configured(model_config=pydantic.ConfigDict(extra="forbid"))),
    "keyword": ("extra='forbid'", forbidding),
    "generic": ("a parameter of a type", generic),
    "datetime": ("a: datetime, which JSON does not have", annotated(datetime | None)),
    "enum": ("a: Paint, which JSON does not have", annotated(list[Paint])),
    "pydantic's": ("a: Kept, which JSON does not have", annotated(pydantic.create_model("Kept"))),
    "tuple": ("a: tuple, which JSON does not have", annotated(tuple[int, ...])),
    "several": ("a, which is one of several models", annotated(Part | Later)),
}


@pytest.mark.parametrize("base", [BaseModel, PhoneCallResponse])
@pytest.mark.parametrize("way", REFUSED)
def test_what_would_not_hold_is_refused_when_the_class_is_made(way: str, base: type[Model]) -> None:
    said, attempt = REFUSED[way]
    with pytest.raises(TypeError, match=rf"Made: .*{said}.* does not hold .* make Made a pydantic\.BaseModel"):
        attempt(base)


def test_a_model_that_pydantic_creates() -> None:
    create: Any = pydantic.create_model  # which a type checker lets have a base of pydantic's alone
    made: Any = create("Made", __base__=BaseModel, name=(str, ...), more=(int, 3))
    one = made(name="a", new=1)
    assert (one.name, one.more, one.to_dict(), made.__module__) == ("a", 3, {"name": "a", "new": 1}, __name__)
    with pytest.raises(TypeError, match=r"Made: extra='forbid' does not hold"):
        create("Made", __base__=BaseModel, __cls_kwargs__={"extra": "forbid"})


def test_a_default_of_a_field_that_has_it_from_its_base() -> None:
    with pytest.raises(TypeError, match="call_status without a type"):
        configured(call_status="ended")(PhoneCallResponse)
    with pytest.raises(TypeError, match="a default of input_schema, which has another name in JSON"):

        class Made(MCPToolDefinition):
            input_schema: dict[str, Any] = {}  # noqa: RUF012


def test_the_remedy_that_is_named_works() -> None:
    class There(pydantic.BaseModel):
        where: str = Field(alias="path")

    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"path": "/x"})))
    with Retell("key_1", http_client=http) as client:
        assert client.get("/x", cast_to=There).where == "/x"


class Tree(BaseModel):
    """A model that holds others of its kind, in each way to write that."""

    name: str | None = None
    text: Optional["Tree"] = None  # noqa: UP037, UP045
    branches: Optional[List["Tree"]] = None  # noqa: UP006, UP037, UP045
    named: dict[str, Tree] | None = None
    leaf: Leaf | None = None
    utterance: Utterance | None = None
    analysis: Analysis | None = None

    class Inside(BaseModel):
        """It is defined in a class."""

        tree: Tree | None = None

    inside: Inside | None = None


class Leaf(BaseModel):
    """It holds what holds it."""

    trees: list[Tree] | None = None


class Utterance(BaseModel):
    """It is called as one of this package's own is."""

    mine: int = 1


TREE: dict[str, Any] = {
    "name": "root",
    "text": {"leaf": {"trees": [{"name": "a"}]}},
    "branches": [{"branches": [{"name": "b"}]}],
    "named": {"c": {"named": {"d": {"name": "d"}}}},
    "leaf": {"trees": [{"leaf": {"trees": []}}]},
    "utterance": {},
    "analysis": {"call_summary": "short"},
    "inside": {"tree": {"inside": {"tree": {"name": "e"}}}},
}


@pytest.mark.parametrize("make_tree", [Tree.from_dict, Tree.model_validate, lambda said: Tree(**said), lambda said: Tree.construct(**said)])
def test_models_that_hold_themselves_and_each_other(make_tree: Callable[[dict[str, Any]], Any]) -> None:
    tree = make_tree(TREE)
    assert tree.text.leaf.trees[0].name == "a"
    assert tree.branches[0].branches[0].name == "b"
    assert tree.named["c"].named["d"].name == "d"
    assert tree.leaf.trees[0].leaf.trees == []
    assert (type(tree.utterance), type(tree.analysis)) == (Utterance, CallAnalysis)
    assert tree.inside.tree.inside.tree.name == "e"
    assert tree.to_dict() == TREE
    assert get_type_hints(Tree)["leaf"] == Leaf | None


def made_in_a_function() -> tuple[type[Model], str]:
    class First(BaseModel):
        first: First | None = None
        second: Optional["Second"] = None  # noqa: UP037, UP045

        class Inside(BaseModel):
            seconds: list[Second] | None = None

        inside: Inside | None = None

    with pytest.raises(TypeError) as caught:
        First(second={})

    class Second(BaseModel):
        first: First | None = None

    return First, str(caught.value)


def test_a_class_made_in_a_function_knows_what_comes_later() -> None:
    cls, said = made_in_a_function()
    other, _ = made_in_a_function()
    for one in (cls, other):
        made: Any = one(first={"first": {}}, second={"first": {"second": {}}}, inside={"seconds": [{}]})
        assert (type(made.first.first), type(made.second.first), type(made.second.first.second)) == (one, one, type(made.second))
        assert type(made.inside.seconds[0]) is type(made.second)
    assert said.startswith("First: second: ")
    assert said.endswith("name 'Second' is not defined; define or import it where First is made, before First is used")


class Astray(BaseModel):
    """What its field names is nowhere."""

    x: list[Nowhere] | None = None  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


class HoldsAstray(BaseModel):
    """A model with one of these inside."""

    inside: list[Astray] | None = None


Astrays = TypeAliasType("Astrays", list[Astray])


def test_what_is_never_defined_is_an_error_before_anything_is_sent() -> None:
    attempts: list[Callable[[], object]] = [
        Astray,
        Astray.construct,
        lambda: Astray.from_dict({}),
        lambda: HoldsAstray(inside=[{"x": [{}]}]),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match=r"Astray: x: list\[Nowhere\] \| None: name 'Nowhere' is not defined; define or import it"):
            attempt()
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={})

    with Retell("key_1", http_client=httpx.Client(transport=httpx.MockTransport(answer))) as client:
        unions: list[Any] = [Optional[Astray], Union[Astray, Part], Astray | None]  # noqa: UP007, UP045
        others: list[Any] = [Annotated[Astray, "said"], dict[str, list[Astray]], Astrays, TreesOf[Astray]]
        for to in [Astray, HoldsAstray, list[HoldsAstray], *unions, *others]:
            with pytest.raises(TypeError, match="Astray: x:"):
                client.post("/x", cast_to=to, body={})
    assert sent == []


def test_what_is_typed_at_a_prompt() -> None:
    typed = """
from retell_async import BaseModel
class A(BaseModel):
    b: "B | None" = None
class B(BaseModel):
    a: "list[A] | None" = None
print(A(b={"a": [{}]}))
"""
    run = subprocess.run([sys.executable, "-c", typed], capture_output=True, text=True, check=True)
    assert run.stdout == "A(b=B(a=[A()]))\n"


Anything = Union[Dict[str, "Anything"], List["Anything"], str]  # noqa: UP006, UP007
Nested = TypeAliasType("Nested", "Part | list[Nested]")
Trees = TypeAliasType("Trees", "list[Tree]")
TreesOf = TypeAliasType("TreesOf", dict[str, T], type_params=(T,))  # pyright: ignore[reportGeneralTypeIssues]


def test_named_types() -> None:
    class Made(BaseModel):
        anything: Anything | None = None
        trees: Trees | None = None
        of: TreesOf[Tree] | None = None

    said: dict[str, Any] = {"anything": {"a": ["b"]}, "trees": [{"name": "a"}], "of": {"b": {}}}
    made: Any = Made.from_dict(said)
    assert (made.anything, made.trees, made.of) == ({"a": ["b"]}, [Tree(name="a")], {"b": Tree()})
    assert made.to_dict() == said
    with pytest.raises(TypeError, match="a, whose type holds itself and models"):
        annotated(Nested)(BaseModel)


class Noted(PhoneCallResponse):
    """A view of a call."""

    part: Part | None = None


class Scored(PhoneCallResponse):
    """Another one."""

    score: int = 0


class Audit:
    """A plain class with fields, which a model is made of."""

    kinds: ClassVar[list[str]] = ["a"]
    _seen: int = 0
    parts: Optional[List["Part"]] = None  # noqa: UP006, UP037, UP045
    tags: list[str] = []  # noqa: RUF012
    score: int = 7
    number: int


def test_what_all_bases_have() -> None:
    class Both(Scored, Noted):
        pass

    class Audited(Audit, Both):
        pass

    both, audited = Both.model_validate({**CALL, "part": {}}), Audited.model_validate({**CALL, "part": {}, "parts": [{}], "number": 1})
    assert (type(both.part), type(both.call_analysis), both.score) == (Part, CallAnalysis, 0)
    assert audited.parts is not None
    assert (type(audited.parts[0]), type(audited.part), audited.score, audited.model_dump()["tags"]) == (Part, Part, 7, [])
    audited.tags.append("a")
    assert Audited.from_dict({}).tags == []
    with pytest.raises(ValueError, match="Audited needs number"):
        Audited(**CALL)

    class Audited2(Audited):
        """What a base has said anew is not what the plain class says."""

        score: int = 8

    class Audited3(Audited2):
        pass

    assert (Audited3.from_dict({}).score, Audited3.model_json_schema()["properties"]["score"]["default"]) == (8, 8)


def test_what_two_of_the_apis_classes_have() -> None:
    class Both(ToolParameter, MCPToolDefinition):  # pyright: ignore[reportIncompatibleVariableOverride]
        pass

    both: Any = Both.from_dict({"additionalProperties": False, "inputSchema": {"a": 1}})
    assert (both.additional_properties, both.input_schema) == (False, {"a": 1})
    assert both.model_dump(exclude_unset=True) == {"additional_properties": False, "input_schema": {"a": 1}}


def test_the_nearest_base_says_what_a_field_holds() -> None:
    class Plain(Noted):
        part: dict[str, Any] | None = None  # type: ignore[assignment]

    class Both(Scored, Plain):
        pass

    class Over(Plain, Noted):  # pyright: ignore[reportIncompatibleVariableOverride]
        pass

    class Other(Noted):
        other: Part | None = None

    class Under(Other, Plain):
        pass

    for cls in (Both, Over, Under):
        made: Any = cls.from_dict({"part": {}, "other": {}})
        assert made.part == {}
    assert type(Under.from_dict({"other": {}}).other) is Part


def test_a_plain_base_of_another_module() -> None:
    module = ModuleType("elsewhere")
    sys.modules["elsewhere"] = module
    try:
        exec(
            "from __future__ import annotations\n"
            "from retell_async import BaseModel\n"
            "class Kept:\n    part: Part | None = None\n    later: Later | None = None\n"
            "class Part(BaseModel):\n    mine: int = 1\n",
            vars(module),
        )

        class Made(vars(module)["Kept"], BaseModel):  # type: ignore[misc]
            pass

        exec("class Later(BaseModel):\n    later: int = 2\n", vars(module))
        made: Any = Made.from_dict({"part": {}, "later": {}})
        assert (made.part.mine, made.later.later) == (1, 2)
    finally:
        del sys.modules["elsewhere"]


CallId = NewType("CallId", str)
PartOf = NewType("PartOf", Part)


class Node(BaseModel):
    """It holds others of its kind, whichever that is."""

    call_id: CallId | None = None
    part: PartOf | None = None
    next: Self | None = None
    kids: Optional[List["Self"]] = None  # noqa: UP006, UP037, UP045
    named: dict[str, Self] | None = None


class Branch(Node):
    """One of another kind."""


@pytest.mark.parametrize("cls", [Node, Branch])
def test_self_and_new_types(cls: type[Node]) -> None:
    said: dict[str, Any] = {"call_id": "c", "part": {}, "next": {"kids": [{}]}, "kids": [{"next": {}}], "named": {"a": {}}}
    for made in (cls.from_dict(said), cls(**said), pydantic.TypeAdapter(cls).validate_python(said)):
        assert made.next is not None
        assert made.next.kids is not None
        assert made.kids is not None
        assert made.named is not None
        kinds = {type(one) for one in (made, made.next, made.next.kids[0], made.kids[0], made.kids[0].next, made.named["a"])}
        assert (kinds, made.call_id, type(made.part), made.to_dict()) == ({cls}, "c", Part, said)
    of_kids = cls.model_json_schema()["$defs"][cls.__name__]["properties"]["kids"]["anyOf"][0]
    assert of_kids == {"type": "array", "items": {"$ref": f"#/$defs/{cls.__name__}"}}


def test_what_is_shown_of_a_model_that_holds_itself() -> None:
    node = Node(kids=[{"call_id": "c"}])
    assert node.kids is not None
    node.kids[0].next = node
    assert repr(node) == "Node(kids=[Node(call_id='c', next=…)])"


def test_a_model_that_is_an_abstract_class() -> None:
    class Base(BaseModel, ABC):
        n: int = 1

        @abstractmethod
        def twice(self) -> int: ...

    class Made(Base):
        def twice(self) -> int:
            return 2 * self.n

    made = Made.from_dict({"n": 2})
    assert (made.twice(), isinstance(made, Base), isinstance(made, BaseModel), issubclass(Made, Part)) == (4, True, True, False)
    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
    Base.register(Part)
    assert isinstance(Part(), Base)


WAYS_TO_USE: dict[str, Callable[[type[PhoneCallResponse], Retell], object]] = {
    "cast_to": lambda cls, client: client.get("/x", cast_to=cls),
    "of a list": lambda cls, client: client.get("/x", cast_to=list[cls]),  # type: ignore[valid-type]
    "raw": lambda cls, client: client.call.with_raw_response.retrieve("c").parse(to=cls),
    "keywords": lambda cls, _: cls(**CALL).call_analysis,
    "dump": lambda cls, _: cls.from_dict(CALL).model_dump(),
    "schema": lambda cls, _: cls.model_json_schema(),
}


@pytest.mark.parametrize("way", WAYS_TO_USE)
def test_a_class_goes_when_nobody_has_it(way: str) -> None:
    def use(client: Retell) -> weakref.ref[type]:
        class View(PhoneCallResponse):
            part: Part | None = None
            view: View | None = None

        WAYS_TO_USE[way](View, client)
        return weakref.ref(View)

    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=CALL)))
    with Retell("key_1", http_client=http) as client:
        views = [use(client) for _ in range(3)]
        for cache in getattr(typing, "_cleanups"):  # of `list[View]` and its like  # noqa: B009
            cache()
        gc.collect()
        assert [view() for view in views] == [None] * 3


def test_two_threads_that_use_a_class_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class View(BaseModel):
        first: Part | None = None
        second: Part | None = None

    seen: list[object] = []
    others: list[View] = []

    class Interrupted(dict[str, Any]):
        def items(self) -> Any:
            for item in super().items():
                yield item
                if not seen:
                    seen.append(item)
                    others.append(View.from_dict({"first": {}, "second": {}}))

    monkeypatch.setattr(model, "_nested", lambda cls: Interrupted((name, decoder(spec)) for name, spec in cls.__nested__.items()))
    made = View.from_dict({"first": {}, "second": {}})
    assert [type(one) for view in (made, *others) for one in (view.first, view.second)] == [Part] * 4


@pytest.mark.parametrize("base", [CallListResponse, SyncPage[Any]])
def test_a_page_has_no_fields_of_ones_own(base: Any) -> None:
    class Shown(base):  # type: ignore[misc]
        kinds: ClassVar[list[str]] = ["a"]

        @property
        def count_of_items(self) -> int:
            return len(self.items)

    assert Shown.from_dict({"items": [{}]}).count_of_items == 1
    for bases, body in (((base,), {"__annotations__": {"note": str}}), ((Audit, base), {})):
        with pytest.raises(TypeError, match=r"Made: (note|number|tags|score|parts): .* class Made\(BaseModel\): items: list\[...\]"):
            make("Made", bases, {"__module__": __name__, **body})

    class Remedy(BaseModel):
        items: list[Mine]
        note: str | None = None

    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"items": [CALL]})))
    with Retell("key_1", http_client=http) as client:
        assert client.post("/x", cast_to=Remedy, body={}).items[0].priority == 5
