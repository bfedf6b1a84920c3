"""Models inside a model are made when they are first looked at, which nobody can tell but by the time."""

from __future__ import annotations

import copy
import json
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any, cast

import attrs
import pytest

from retell_async._core.model import adopter, fields_of, unread
from retell_async.types import CallAnalysis, PhoneCallResponse, Utterance
from retell_async.webhooks import parse_event

WORDS = [{"word": word, "start": 0.1, "end": 0.2} for word in ("Good", "morning")]
SENT: dict[str, Any] = {
    "call_type": "phone_call",
    "transcript_object": [{"role": "agent", "content": "Good morning", "words": WORDS, "later": 1}],
    "call_id": "call_1",
    "call_analysis": {"call_summary": "Greeted.", "custom_analysis_data": {"a": {"b": 1}}},
    "transcript_with_tool_calls": [{"role": "tool_call_invocation", "tool_call_id": "t", "name": "n", "arguments": "{}"}, "odd", None],
    "latency": None,
    "telephony_identifier": "odd",
    "later": {"deep": [1]},
    "agent_id": "agent_1",
    "call_cost": {"combined_cost": 3, "product_costs": [{"product": "tts", "cost": 3}]},
}


def sent() -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(json.dumps(SENT)))


@pytest.fixture
def call() -> PhoneCallResponse:
    return adopter(PhoneCallResponse)(sent())


def all_read() -> PhoneCallResponse:
    call = adopter(PhoneCallResponse)(sent())
    for name in vars(call):
        getattr(call, name)
    return call


def test_nothing_is_made_before_it_is_looked_at(call: PhoneCallResponse) -> None:
    assert call.call_id == "call_1"
    assert "transcript_object" in call
    assert "scrubbed_call_analysis" not in call
    assert call.to_dict() == SENT
    assert {"transcript_object", "call_analysis"} <= unread(call)
    assert type(fields_of(call)["call_analysis"]) is dict
    assert isinstance(call.call_analysis, CallAnalysis)
    assert "call_analysis" not in unread(call)
    assert type(fields_of(call)["transcript_object"]) is list
    assert type(fields_of(call)["transcript_object"][0]) is dict


def test_a_field_is_the_same_object_each_time_and_by_each_way(call: PhoneCallResponse) -> None:
    first = call.transcript_object
    assert first

    assert (
        first
        is call.transcript_object
        is call["transcript_object"]
        is vars(call)["transcript_object"]
        is call.__dict__["transcript_object"]
    )
    assert first[0].words is first[0].words
    assert isinstance(first[0], Utterance)
    assert dict(call)["transcript_object"] is first


@pytest.mark.parametrize(
    "look",
    [
        lambda call: call.__dict__["transcript_object"][0].words[0].word,
        lambda call: vars(call)["transcript_object"][0].words[0].word,
        lambda call: call["transcript_object"][0]["words"][0]["word"],
        lambda call: dict(call)["transcript_object"][0].words[0].word,
        lambda call: call.model_dump()["transcript_object"][0]["words"][0]["word"],
        lambda call: call.to_dict()["transcript_object"][0]["words"][0]["word"],
        lambda call: copy.copy(call).transcript_object[0].words[0].word,
        lambda call: copy.deepcopy(call).transcript_object[0].words[0].word,
        lambda call: pickle.loads(pickle.dumps(call)).transcript_object[0].words[0].word,
        lambda call: attrs.evolve(call, call_id="other").transcript_object[0].words[0].word,
        lambda call: call.model_copy(update={"call_id": "other"}).transcript_object[0].words[0].word,
        lambda call: call.__replace__(call_id="other").transcript_object[0].words[0].word,
        lambda call: cast("Any", PhoneCallResponse.from_dict(call.to_dict())).transcript_object[0].words[0].word,
    ],
)
def test_whoever_looks_finds_models(call: PhoneCallResponse, look: Callable[[Any], Any]) -> None:
    assert look(call) == "Good"
    assert list(fields_of(call)) == list(SENT)


def test_read_or_not_it_is_equal_in_all_that_is_shown(call: PhoneCallResponse) -> None:
    other = all_read()
    assert unread(other) == frozenset()
    assert repr(call) == repr(other)
    fresh = adopter(PhoneCallResponse)(sent())
    assert fresh == other
    assert adopter(PhoneCallResponse)(sent()) == adopter(PhoneCallResponse)(sent())
    assert pickle.dumps(adopter(PhoneCallResponse)(sent())) == pickle.dumps(all_read())
    assert adopter(PhoneCallResponse)(sent()).to_json() == other.to_json()
    assert adopter(PhoneCallResponse)(sent()).model_dump_json() == other.model_dump_json()
    assert list(vars(adopter(PhoneCallResponse)(sent()))) == list(SENT)


def test_what_is_of_another_kind_passes_through(call: PhoneCallResponse) -> None:
    said: Any = call.transcript_with_tool_calls
    assert said[0].name == "n"
    assert said[1:] == ["odd", None]
    assert call.latency is None
    assert "latency" in call
    assert cast("Any", call).telephony_identifier == "odd"
    assert call.llm_token_usage is None
    assert cast("Any", PhoneCallResponse).transcript_object is None


def test_a_field_is_set_and_taken_out_before_anybody_has_looked(call: PhoneCallResponse) -> None:
    call.transcript_object = []
    del call.call_analysis
    assert call.transcript_object == []
    assert call.call_analysis is None
    assert "call_analysis" not in call
    with pytest.raises(AttributeError, match="call_analysis"):
        del call.call_analysis
    with pytest.raises(KeyError):
        call["call_analysis"]
    assert call.to_dict() == {**{name: value for name, value in SENT.items() if name != "call_analysis"}, "transcript_object": []}
    call.__dict__ = {"call_id": "call_2", "call_analysis": {"call_summary": "as it is"}}
    assert call.to_dict() == {"call_id": "call_2", "call_analysis": {"call_summary": "as it is"}}
    assert type(cast("Any", call).call_analysis) is dict  # what a program puts there itself is what it reads


def test_plain_dicts_share_nothing_with_the_model(call: PhoneCallResponse) -> None:
    plain = call.to_dict()
    plain["call_analysis"]["call_summary"] = "changed"
    plain["transcript_object"][0]["words"].clear()
    assert call.to_dict() == SENT
    given = sent()
    made = PhoneCallResponse.from_dict(given)
    given["call_analysis"]["call_summary"] = "changed"
    assert made.to_dict() == SENT


def test_an_event_reads_its_call_when_it_is_asked_for() -> None:
    event: Any = parse_event(json.dumps({"event": "call_ended", "call": SENT}))
    assert event.call.transcript_object[0].words[1].word == "morning"
    assert event.to_dict() == {"event": "call_ended", "call": SENT}


def test_threads_that_look_at_once_have_the_same_object() -> None:
    for _ in range(50):
        call = adopter(PhoneCallResponse)(sent())
        start = threading.Barrier(4)
        found: list[Any] = []

        def look(call: PhoneCallResponse = call, start: threading.Barrier = start, found: list[Any] = found) -> None:
            start.wait(10)
            assert call.transcript_object is not None
            assert call.call_analysis is not None
            found.append((call.transcript_object, call.transcript_object[0].words, call.call_analysis))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(found) == 4
        assert len({tuple(map(id, each)) for each in found}) == 1


@pytest.mark.needs("fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_is_forked_while_threads_read_can_read(call: PhoneCallResponse) -> None:
    over = threading.Event()

    def keep_reading() -> None:
        while not over.is_set():
            vars(adopter(PhoneCallResponse)(sent()))

    threads = [threading.Thread(target=keep_reading) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(0 if call.transcript_object else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        over.set()
        for thread in threads:
            thread.join(10)


class Summed(PhoneCallResponse):
    kept: int = 0

    def summary(self) -> str | None:
        return self.call_analysis.call_summary if self.call_analysis is not None else None


class ReadOnly(PhoneCallResponse):
    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError(f"read only: {name}")


class Rebuilt(PhoneCallResponse):
    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.again = True


def test_classes_of_a_program_hold_what_it_looks_at(call: PhoneCallResponse) -> None:
    call.__class__ = Summed
    assert call.summary() == "Greeted."  # type: ignore[attr-defined]
    assert cast("Any", call).kept == 0
    own = adopter(Summed)(sent())
    assert own.summary() == "Greeted."
    assert "transcript_object" in unread(own)
    assert own.to_dict() == SENT
    read_only = adopter(ReadOnly)(sent())
    assert read_only.call_analysis is read_only.call_analysis
    assert isinstance(read_only.call_analysis, CallAnalysis)
    with pytest.raises(TypeError, match="read only: call_id"):
        read_only.call_id = "other"
    with pytest.raises(TypeError, match="read only: call_analysis"):
        read_only.call_analysis = None
    again = pickle.loads(pickle.dumps(adopter(Rebuilt)(sent())))
    assert again.again is True
    assert again.call_analysis == read_only.call_analysis
    assert pickle.loads(pickle.dumps(read_only)) == read_only


class Shorter(CallAnalysis):
    """Another class for what a call holds."""


class Over(PhoneCallResponse):
    call_analysis: Shorter | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


@pytest.mark.parametrize("is_read_before", [False, True])
def test_what_a_model_holds_stays_what_it_is_when_its_class_is_changed(call: PhoneCallResponse, is_read_before: bool) -> None:
    if is_read_before:
        assert call.call_analysis is not None
    call.__class__ = Over
    assert (type(call), call.__class__, isinstance(call, Over)) == (Over, Over, True)
    assert type(call.call_analysis) is CallAnalysis
    assert call.call_analysis.call_summary == "Greeted."
    cast("Any", call).__class__ = PhoneCallResponse
    assert call == all_read()
    own: Any = adopter(Over)(sent())
    own.__class__ = PhoneCallResponse
    assert type(own.call_analysis) is Shorter
    with pytest.raises(TypeError, match="__class__"):
        call.__class__ = dict  # type: ignore[assignment]


def test_the_state_of_a_model_is_its_fields(call: PhoneCallResponse) -> None:
    assert call.__getstate__() == vars(call)
