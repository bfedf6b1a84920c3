from __future__ import annotations

from copy import deepcopy

import pytest

from codegen.document import Json
from codegen.passes import all_of, errors, lift, reachable, unions

from ..small import INTEGER, STRING, after, array, content, document, enum, holding, object_, operation, ref, refused

LONG = enum("a", "b", "c", "d")
SHORT = enum("a", "b", "c")


def lifted(given: Json) -> Json:
    def run(made: Json) -> None:
        for one in (errors, reachable, all_of, unions, lift):
            one.run(made)

    return after(run, given)


def schemas(**given: Json) -> Json:
    made: Json = lifted(holding(**given))["components"]["schemas"]
    return made


def test_bodies_and_answers_are_named_after_their_operation() -> None:
    made = lifted(
        document(
            {
                "/a": {"post": operation("make-a_thing", array(object_(a=STRING)), requestBody=content(object_(b=STRING)))},
                "/b": {"get": operation("getMap", {"type": "object", "additionalProperties": object_(c=STRING)})},
            }
        )
    )
    assert {name: list(schema["properties"]) for name, schema in made["components"]["schemas"].items()} == {
        "MakeAThingRequest": ["b"],
        "MakeAThingResponse": ["a"],
        "GetMapResponse": ["c"],
    }
    assert made["paths"]["/a"]["post"]["responses"]["200"]["content"]["application/json"]["schema"] == array(ref("MakeAThingResponse"))


def test_a_field_of_one_word_is_named_with_its_owner_and_one_of_two_alone() -> None:
    made = schemas(Agent=object_(voice=object_(a=STRING), response_engine=object_(b=STRING)))
    assert made["Agent"]["properties"] == {"voice": ref("AgentVoice"), "response_engine": ref("ResponseEngine")}


def test_what_says_the_same_at_fields_of_one_name_is_one_class() -> None:
    made = schemas(
        Agent=object_(voice=object_(a=STRING), three_word_name=object_(a=STRING)),
        LongerAgent=object_(voice={**object_(a=STRING), "deprecated": True}, three_word_name=object_(a=INTEGER)),
    )
    assert made["Agent"]["properties"]["voice"] == ref("Voice")
    assert made["LongerAgent"]["properties"]["voice"] == {**ref("Voice"), "deprecated": True}
    assert made["Agent"]["properties"]["three_word_name"] == ref("AgentThreeWordName")
    assert made["LongerAgent"]["properties"]["three_word_name"] == ref("LongerAgentThreeWordName")


def test_a_name_that_a_component_has_is_not_taken() -> None:
    made = schemas(Agent=object_(response_engine=object_(a=STRING)), ResponseEngine=object_(b=STRING))
    assert made["Agent"]["properties"]["response_engine"] == ref("AgentResponseEngine")


@pytest.mark.parametrize(
    ("plural", "one"),
    [("voices", "Voice"), ("properties", "Property"), ("boxes", "Box"), ("branches", "Branch"), ("classes", "Class"), ("status", "Status")],
)
def test_items_take_the_singular(plural: str, one: str) -> None:
    made = schemas(Agent=object_(**{plural: array(array(object_(a=STRING)))}))
    assert made["Agent"]["properties"][plural] == array(array(ref(f"Agent{one}")))


def test_long_enums_get_a_name_and_short_ones_do_not() -> None:
    made = schemas(Agent=object_(long_kind=LONG, short_kind=SHORT, kinds=array(LONG)))
    assert made["Agent"]["properties"] == {"long_kind": ref("LongKind"), "short_kind": SHORT, "kinds": array(ref("AgentKind"))}
    assert made["LongKind"] == LONG


def test_members_of_unions_are_named_by_title_tag_or_key() -> None:
    members = [{**object_("type", type=enum("first")), "title": "Titled"}, object_("type", type=enum("second-kind"))]
    made = schemas(Sender={"oneOf": members})
    assert [member["$ref"].rpartition("/")[2] for member in made["Sender"]["oneOf"]] == ["SenderTitled", "SenderSecondKind"]
    assert [member["x-values"] for member in made["Sender"]["oneOf"]] == [["first"], ["second-kind"]]
    made = schemas(Sender={"oneOf": [object_("weight", weight=INTEGER), object_("leaf_count", leaf_count=INTEGER)]})
    assert set(made) >= {"SenderWeight", "SenderLeafCount"}
    made = schemas(Sender={"oneOf": [STRING, object_(a=STRING)]})
    assert made["Sender"]["oneOf"] == [STRING, ref("SenderObject")]


def test_a_narrowed_member_is_named_by_what_it_narrows() -> None:
    tool = {
        "AppTool": {"oneOf": [ref("CallTool"), ref("WaitTool")]},
        "CallTool": object_("type", type=enum("call"), name=STRING),
        "WaitTool": object_("type", type=enum("wait"), name=STRING),
        "PreSessionTool": {"allOf": [ref("AppTool"), {"required": ["name"]}]},
    }
    made = schemas(**tool)
    assert [member["$ref"].rpartition("/")[2] for member in made["PreSessionTool"]["oneOf"]] == ["PreSessionCallTool", "PreSessionWaitTool"]


def test_a_narrowed_field_is_named_by_what_it_narrows() -> None:
    base = object_(op=enum("eq"), value=STRING)
    narrowed = {"allOf": [ref("EnumFilter"), object_(value=SHORT)]}
    made = schemas(EnumFilter=base, Owner=object_(call_status=narrowed), Other=object_(call_status=narrowed))
    assert made["Owner"]["properties"]["call_status"] == made["Other"]["properties"]["call_status"] == ref("CallStatusEnumFilter")


def test_a_union_of_components_that_end_alike_is_named_by_both() -> None:
    filters = {"NumberFilter": object_("eq", eq=INTEGER), "RangeFilter": object_("low", low=INTEGER)}
    made = schemas(**filters, Owner=object_(size={"oneOf": [ref("NumberFilter"), ref("RangeFilter")]}))
    assert made["Owner"]["properties"]["size"] == ref("NumberOrRangeFilter")


def test_the_overlay_may_name_anything() -> None:
    made = schemas(Agent=object_(voice={**object_(a=STRING), "x-name": "Sound"}))
    assert made["Agent"]["properties"]["voice"] == ref("Sound")
    assert made["Sound"] == object_(a=STRING)


def test_two_schemas_that_want_one_name() -> None:
    same = [{**object_(name, **{name: STRING}), "title": "Same"} for name in ("a", "b")]
    assert set(schemas(U={"oneOf": same})) == {"GetThingResponse", "U", "USame", "UUSame"}
    three = [{**object_(name, **{name: STRING}), "title": "Same"} for name in ("a", "b", "c")]
    where, reason = refused(lifted, holding(U={"oneOf": three}))
    assert where == "/components/schemas/UUSame"
    assert "x-name in the overlay" in reason


def test_what_comes_takes_no_name_away() -> None:
    given = document({"/a": {"get": operation("getA", object_(voice_option=object_(a=STRING)))}})
    names = lifted(given)["x-names"]
    assert names == {"GetA 200": "GetAResponse", "GetAResponse.voice_option": "VoiceOption"}
    for name in names.values():
        other = {"/b": {"get": operation("getB", ref(name))}}
        more = document({**given["paths"], **other}, {name: object_(b=STRING)})
        where, reason = refused(lifted, {**more, "x-names": names})
        assert where == f"/components/schemas/{name}"
        assert "give one of them x-name in the overlay" in reason
    earlier = deepcopy(given)
    earlier["paths"]["/a"]["get"]["responses"] = {
        "200": content(object_(job=STRING)),
        "201": given["paths"]["/a"]["get"]["responses"]["200"],
    }
    made = lifted({**earlier, "x-names": {"GetA 201": "GetAResponse"}})
    assert made["x-names"]["GetA 201"] == "GetAResponse"
    assert list(made["components"]["schemas"]["GetAResponse200"]["properties"]) == ["job"]


def test_a_component_that_says_the_same_is_what_was_there() -> None:
    given = document({"/a": {"get": operation("getA", object_(a=STRING))}, "/b": {"get": operation("getB", ref("GetAResponse"))}})
    given["components"]["schemas"] = {"GetAResponse": object_(a=STRING)}
    assert lifted({**given, "x-names": {"GetA 200": "GetAResponse"}})["components"]["schemas"].keys() == {"GetAResponse"}
