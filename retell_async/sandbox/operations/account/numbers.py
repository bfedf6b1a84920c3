"""The account's phone numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from random import Random

from ...common.messages import Incoming, Json, Refused
from ...state.store import Store
from ..agents.agents import Channel, existing_agent
from ..helpers import changed, existing, listed, version_of

__all__ = ["choose_agent", "create", "delete", "import_", "is_e164", "listing", "retrieve", "update"]

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_FIXED = ("phone_number", "phone_number_type", "phone_number_pretty", "area_code")
_AGENT_LISTS: Mapping[str, Channel] = {
    "inbound_agents": "voice",
    "outbound_agents": "voice",
    "inbound_sms_agents": "chat",
    "outbound_sms_agents": "chat",
}
_TRUNK = ("termination_uri", "auth_username", "transport", "codecs")
_DEFAULT_AREA = {"US": 415, "CA": 604}
_TOLL_FREE_AREA = 888
_IMPORTED_NAMES = {"sip_trunk_auth_username": "auth_username", "sip_trunk_auth_password": "auth_password"}
_PURCHASE = (("toll_free", False), ("country_code", "US"), ("number_provider", "twilio"))


def is_e164(text: str) -> bool:
    """Whether it is a phone number in E.164 format: ``+14155550100``."""
    return _E164.fullmatch(text) is not None


def create(store: Store, incoming: Incoming) -> Json:
    body = dict(incoming.body)
    asked = body.pop("phone_number", None)
    area = body.pop("area_code", None)
    toll_free, country, provider = (body.pop(name, default) for name, default in _PURCHASE)
    if asked is not None and not is_e164(asked):
        raise Refused(400, "body.phone_number must be in E.164 format")
    if area is not None and not 200 <= area <= 999:
        raise Refused(400, "body.area_code must have three digits")
    number = asked or _free_number(store, _TOLL_FREE_AREA if toll_free else area or _DEFAULT_AREA[country])
    if number in store.numbers:
        raise Refused(400, "body.phone_number is taken")
    body = _stored(body) | {
        "phone_number": number,
        "phone_number_type": f"retell-{provider}",
        "phone_number_pretty": _pretty(number),
        "last_modification_timestamp": store.now(),
    }
    if number.startswith("+1"):
        body["area_code"] = int(number[2:5])
    _check(store, body, absent=400)
    return store.numbers.add(number, body).latest


def import_(store: Store, incoming: Incoming) -> Json:
    body = dict(incoming.body)
    as_it_is = body.pop("ignore_e164_validation", False)
    number: str = body["phone_number"]
    if not (is_e164(number) or (as_it_is and number)):
        raise Refused(400, "body.phone_number must be in E.164 format")
    if number in store.numbers:
        raise Refused(400, "body.phone_number is taken")
    body = {_IMPORTED_NAMES.get(name, name): value for name, value in body.items()}
    body = _stored(body) | {
        "phone_number": number,
        "phone_number_type": "custom",
        "phone_number_pretty": _pretty(number),
        "last_modification_timestamp": store.now(),
    }
    _check(store, body, absent=400)
    return store.numbers.add(number, body).latest


def retrieve(store: Store, incoming: Incoming) -> Json:
    return existing(store.numbers, incoming.path["phone_number"], "the phone number").latest


def listing(store: Store, incoming: Incoming) -> Json:
    return listed(store.numbers.entries, incoming.query, lambda number: number.latest)


def update(store: Store, incoming: Incoming) -> Json:
    number = existing(store.numbers, incoming.path["phone_number"], "the phone number")
    body = changed(number.latest, _stored(incoming.body, number.latest), _FIXED, store.now())
    _check(store, body, absent=422)
    return number.write(body)


def delete(store: Store, incoming: Incoming) -> None:
    store.numbers.remove(existing(store.numbers, incoming.path["phone_number"], "the phone number").id)


def choose_agent(store: Store, weighted: list[Json], other_side: str) -> Json:
    """Choose one of the agents of a number by their weights: always the same for the same person."""
    if len(weighted) == 1:
        return weighted[0]
    return Random(f"{store.settings.seed} {other_side}").choices(weighted, [item["weight"] for item in weighted])[0]


def _free_number(store: Store, area: int) -> str:
    # 555-0100 and the numbers after it belong to nobody.
    return next(number for line in range(100, 10_000) if (number := f"+1{area}555{line:04}") not in store.numbers)


def _pretty(number: str) -> str:
    return f"+1 ({number[2:5]}) {number[5:8]}-{number[8:]}" if re.fullmatch(r"\+1[0-9]{10}", number) else number


def _stored(sent: Json, before: Json | None = None) -> Json:
    """The fields as answers show them: those of the SIP trunk in one object, without its password."""
    body = {name: value for name, value in sent.items() if name not in {*_TRUNK, "auth_password"}}
    trunk = {name: sent[name] for name in _TRUNK if name in sent}
    if trunk:
        body["sip_outbound_trunk_config"] = ((before or {}).get("sip_outbound_trunk_config") or {}) | trunk
    return body


def _check(store: Store, body: Json, absent: int) -> None:
    for name, channel in _AGENT_LISTS.items():
        weighted: list[Json] = body.get(name) or []
        if weighted and not math.isclose(sum(item["weight"] for item in weighted), 1, abs_tol=1e-6):
            raise Refused(400, f"the weights of {name} must sum to 1")
        for item in weighted:
            agent = existing_agent(store, item["agent_id"], channel, f"an agent of {name}", absent)
            version_of(agent, item.get("agent_version"), f"an agent of {name}", absent)
    fallback = body.get("fallback_number")
    if fallback is not None:
        target = store.numbers.get(fallback)
        if fallback == body["phone_number"] or (target is not None and target.latest.get("fallback_number")):
            raise Refused(400, "fallback_number must be another number, and one without a fallback of its own")
