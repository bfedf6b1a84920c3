"""What programs do with models of pydantic's, done with ours, and with the official SDK's beside them."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import retell
from retell.types import LlmResponse as TheirLlm, PhoneCallResponse as TheirCall

from retell_async import Model, UnknownObject
from retell_async.types import (
    CallAnalysis,
    CallResponse,
    CRMCustomFieldSchema,
    LlmResponse,
    MCPToolDefinition,
    PhoneCallResponse,
    ToolCallInvocationUtterance,
    ToolParameter,
    Utterance,
    UtteranceOrToolCall,
    WebCallResponse,
)

CALL: dict[str, Any] = {
    "call_id": "call_1",
    "call_type": "phone_call",
    "agent_id": "agent_1",
    "agent_version": 1,
    "call_status": "ended",
    "from_number": "+14155550100",
    "to_number": "+14155550101",
    "direction": "outbound",
    "metadata": {"list": [{"none": None}]},
    "disconnection_reason": None,
    "call_analysis": {"call_summary": "short", "custom_analysis_data": {"a": None}, "in_a_year": [1]},
    "transcript_object": [{"role": "agent", "content": "Hi", "words": [{"word": "Hi", "start": 0.5, "end": 1.0}]}],
    "in_a_year": {"x": None},
}
LLM: dict[str, Any] = {"llm_id": "llm_1", "model": "gpt-5", "model_temperature": 0.5, "model_config": {"primary": {"model": "gpt-5"}}}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"mode": "json"},
    {"exclude_unset": True},
    {"exclude_none": True},
    {"exclude_defaults": True},
    {"exclude_unset": True, "exclude_none": True, "by_alias": True},
    {"exclude_unset": True, "include": {"call_id", "call_analysis"}},
    {"exclude_unset": True, "include": {"call_analysis": {"call_summary"}, "transcript_object": {0: {"words": {"__all__": {"word"}}}}}},
    {"exclude_unset": True, "exclude": {"call_id", "metadata", "in_a_year"}},
    {"exclude_unset": True, "exclude": {"call_analysis": {"call_summary": True}, "transcript_object": {"__all__": {"words": {0: ...}}}}},
    {"exclude_unset": True, "exclude": {"transcript_object": {0}}, "round_trip": True, "warnings": "none", "context": 1},
]


def known(fields: Any, beside: Any) -> Any:
    """Without the fields that only one of the two documents has, which have been left out."""
    if isinstance(fields, Mapping):
        return {name: known(item, beside.get(name)) for name, item in fields.items() if item is not None or name in beside}
    if isinstance(fields, list):
        return [known(item, beside[index]) for index, item in enumerate(fields)]
    return fields


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("said", "there", "here"), [(CALL, TheirCall, PhoneCallResponse), (LLM, TheirLlm, LlmResponse)])
def test_a_model_is_dumped_as_the_official_one_is(
    said: dict[str, Any], there: type[retell.BaseModel], here: type[Model], options: Any
) -> None:
    their, our = there.construct(**copy.deepcopy(said)), here.from_dict(said)
    dumped, expected = our.model_dump(**options), their.model_dump(**{"warnings": False, **options})
    assert known(dumped, expected) == known(expected, dumped)
    assert our.dict(**options) == dumped
    assert json.loads(our.model_dump_json(**options)) == json.loads(our.json(**options)) == our.model_dump(**(options | {"mode": "json"}))


def test_left_out_null_and_there_are_told_apart() -> None:
    call = PhoneCallResponse.from_dict(CALL)
    assert call.to_dict() == call.model_dump(by_alias=True, exclude_unset=True) == CALL
    assert (call.model_dump()["call_cost"], "call_cost" in call.model_dump(exclude_unset=True)) == (None, False)
    assert "disconnection_reason" not in call.to_dict(exclude_none=True)
    assert call.to_dict(exclude_unset=False)["call_cost"] is None
    assert call.to_dict(exclude_none=True)["metadata"] == {"list": [{"none": None}]}


def test_all_fields_are_gone_through() -> None:
    their, our = TheirCall.construct(**copy.deepcopy(CALL)), PhoneCallResponse.from_dict(CALL)
    assert dict(our)["call_cost"] is dict(their)["call_cost"] is None
    assert dict(our).keys() == PhoneCallResponse.model_json_schema()["properties"].keys() | CALL.keys()
    assert {name: item for name, item in our if item is not None} == {name: our[name] for name in CALL if our[name] is not None}
    assert list(dict(our))[: len(CALL)] == list(CALL)
    assert (vars(our).keys(), our.to_dict()) == (CALL.keys(), CALL)


def test_texts_of_json() -> None:
    llm = LlmResponse.from_dict({"llm_id": "é", "model_temperature": 1})
    assert llm.to_json() == '{\n  "llm_id": "é",\n  "model_temperature": 1\n}'
    assert llm.to_json(indent=None, use_api_names=False) == '{"llm_id":"é","api_model_temperature":1}'
    assert llm.model_dump_json(exclude_unset=True, by_alias=True, ensure_ascii=True) == '{"llm_id":"\\u00e9","model_temperature":1}'
    assert llm.json(exclude_none=True, indent=1) == '{\n "llm_id": "é",\n "api_model_temperature": 1\n}'
    assert (
        UnknownObject(n=float("nan"), t=datetime(2026, 1, 2, tzinfo=UTC)).to_json(indent=None)
        == '{"n":null,"t":"2026-01-02T00:00:00+00:00"}'
    )


def test_what_is_no_json_stays_or_becomes_a_text_or_is_what_the_caller_makes_of_it() -> None:
    moment, thing = datetime(2026, 1, 2, tzinfo=UTC), object()
    made = UnknownObject(moment=moment, pair=(1, {2}), thing=thing)
    assert made.model_dump() == {"moment": moment, "pair": (1, {2}), "thing": thing}
    assert made.model_dump(mode="json", fallback=lambda value: f"a {type(value).__name__}") == {
        "moment": "2026-01-02T00:00:00+00:00",
        "pair": [1, [2]],
        "thing": "a object",
    }
    with pytest.raises(TypeError, match="object"):
        made.model_dump_json()


def test_a_keyword_that_pydantic_does_not_have_is_refused() -> None:
    wrong: dict[str, Any] = {"exclude_unknown": True}
    for method in ("model_dump", "model_dump_json", "dict", "json", "to_dict", "to_json"):
        with pytest.raises(TypeError, match="exclude_unknown"):
            getattr(UnknownObject(), method)(**wrong)


def test_a_model_is_made_of_keywords_with_fields_inside_and_unknown_ones() -> None:
    call = PhoneCallResponse(**CALL)
    assert call == PhoneCallResponse.from_dict(CALL)
    assert type(call.call_analysis) is CallAnalysis
    assert call.transcript_object is not None
    assert type(call.transcript_object[0]) is Utterance
    assert (call["in_a_year"], call.to_dict()) == ({"x": None}, CALL)
    word = CallAnalysis(call_summary="x")
    again = PhoneCallResponse(**{**CALL, "call_analysis": word, "transcript_object": [call.transcript_object[0], {"role": "user"}]})
    assert again.call_analysis is word
    assert again.transcript_object is not None
    assert [type(item) for item in again.transcript_object] == [Utterance, Utterance]
    assert CALL["call_analysis"] == {"call_summary": "short", "custom_analysis_data": {"a": None}, "in_a_year": [1]}
    more: dict[str, Any] = {"additionalProperties": True}
    assert ToolParameter(type="object", properties={}, additional_properties=True) == ToolParameter(type="object", properties={}, **more)


@pytest.mark.parametrize("make", [lambda said: PhoneCallResponse(**said), PhoneCallResponse.model_validate, PhoneCallResponse.parse_obj])
def test_what_is_required_must_be_there(make: Any) -> None:
    lacking = {name: item for name, item in CALL.items() if name not in {"call_id", "to_number"}}
    for error in (TypeError, ValueError):
        with pytest.raises(error, match=r"PhoneCallResponse needs .*(call_id, to_number|to_number, call_id)") as refused:
            make(lacking)
        assert "+14155550100" not in str(refused.value)
    with pytest.raises(ValueError, match="call_id"):
        TheirCall(**lacking)


def test_validating_looks_at_what_is_inside_and_takes_what_it_does_not_know() -> None:
    call = PhoneCallResponse.model_validate(CALL)
    assert (
        call == PhoneCallResponse.model_validate_json(json.dumps(CALL)) == PhoneCallResponse.model_validate_json(json.dumps(CALL).encode())
    )
    assert PhoneCallResponse.model_validate(call) is call
    with pytest.raises(ValueError, match=r"needs transcript_object\.0\.content, transcript_object\.0\.words|needs .*\.0\.words"):
        PhoneCallResponse.model_validate({**CALL, "transcript_object": [{"role": "agent"}]})
    with pytest.raises(ValueError, match="a JSON object, not of list"):
        PhoneCallResponse.model_validate_json("[]")
    with pytest.raises(ValueError, match="line 1"):
        PhoneCallResponse.model_validate_json("{")
    said = SimpleNamespace(**CALL)
    assert PhoneCallResponse.model_validate(said, from_attributes=True).to_number == "+14155550101"
    with pytest.raises(ValueError, match="not of SimpleNamespace"):
        PhoneCallResponse.model_validate(said)


def test_nothing_is_asked_of_what_is_constructed() -> None:
    for make in (PhoneCallResponse.construct, PhoneCallResponse.model_construct):
        assert make(None, call_id="c", call_analysis={"a": 1}) == PhoneCallResponse.from_dict({"call_id": "c", "call_analysis": {"a": 1}})


def test_copies() -> None:
    call = PhoneCallResponse.from_dict(CALL)
    shallow, deep = call.model_copy(update={"call_id": "call_2"}), call.copy(deep=True, update={"new": 1})
    assert (shallow.call_id, call.call_id, deep["new"], "new" in call) == ("call_2", "call_1", 1, False)
    assert shallow.call_analysis is call.call_analysis
    assert deep.call_analysis == call.call_analysis
    assert deep.call_analysis is not call.call_analysis
    assert copy.deepcopy(call) == copy.copy(call) == pickle.loads(pickle.dumps(call)) == call.model_copy() == call
    assert LlmResponse.from_dict({}).model_copy(update={"api_model_temperature": 1}).to_dict() == {"model_temperature": 1}
    tool = MCPToolDefinition.from_dict({"inputSchema": 1}).model_copy(update={"input_schema": 2})
    assert tool.to_dict() == {"inputSchema": 2}


def test_what_was_set_and_what_is_not_known() -> None:
    their, our = TheirCall(**copy.deepcopy(CALL)), PhoneCallResponse.from_dict(CALL)
    assert our.model_fields_set == their.model_fields_set == CALL.keys()
    assert our.model_dump(include=our.model_fields_set).keys() == CALL.keys()
    assert our.model_extra == their.model_extra == {"in_a_year": {"x": None}}
    assert LlmResponse.from_dict(LLM).model_fields_set == TheirLlm.construct(**copy.deepcopy(LLM)).model_fields_set


def test_attributes_have_the_official_names_too() -> None:
    llm = LlmResponse.from_dict(LLM)
    assert llm.api_model_temperature == llm.model_temperature == TheirLlm.construct(**LLM).api_model_temperature == 0.5
    assert llm.api_model_config is llm.model_config
    assert LlmResponse.from_dict({}).api_model_config is None
    llm.api_model_temperature = 1.0
    assert llm["model_temperature"] == 1.0
    del llm.api_model_temperature
    assert "model_temperature" not in llm
    field = CRMCustomFieldSchema.from_dict({"options": ["a"]})  # it stepped aside here, and not there
    assert (field.options_, field.model_dump(exclude_unset=True)) == (["a"], {"options": ["a"]})


@pytest.mark.parametrize("name", ["to_dict", "to_json", "model_dump", "model_dump_json", "dict", "json", "copy", "model_copy"])
def test_a_field_of_the_server_hides_no_method(name: str) -> None:
    made = PhoneCallResponse.from_dict({name: "said"})
    assert callable(getattr(made, name))
    assert made.to_dict() == {name: "said"}
    assert made[name] == "said"
    with pytest.raises(AttributeError, match=f"{name} is a method"):
        setattr(made, name, 1)


def test_isinstance_knows_the_members_of_a_union() -> None:
    unions: Any = CallResponse
    phone, web = PhoneCallResponse.from_dict(CALL), WebCallResponse.from_dict({"call_type": "web_call"})
    assert isinstance(phone, unions)
    assert isinstance(web, (str, unions))
    assert not isinstance(UnknownObject(), unions)
    assert not isinstance(CALL, unions)
    assert issubclass(PhoneCallResponse, unions)
    assert issubclass(unions, unions)
    assert not issubclass(str, unions)
    said: Any = ToolCallInvocationUtterance.from_dict({})
    assert isinstance(said, UtteranceOrToolCall)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="CallResponse is one of several: WebCallResponse, PhoneCallResponse"):
        unions(**CALL)
    assert pickle.loads(pickle.dumps(unions)) is unions
    match phone:
        case unions():
            pass
        case _:
            pytest.fail("not a member")
