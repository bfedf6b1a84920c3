"""Contacts: people with a phone number, their fields, and their conversations."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ...common.messages import Incoming, Json, Refused
from ...openapi.multipart import Upload
from ...simulation.analysis import custom_analysis, summary
from ...state import filters
from ...state.assets import Asset
from ...state.calls import Call
from ...state.filters import Field, KeyedField
from ...state.listing import Entries
from ...state.records import Chat, Job, Row
from ...state.store import Store
from ...views.chats import analysis as chat_analysis
from ..helpers import existing, listed
from .numbers import is_e164

__all__ = [
    "backfill",
    "backfill_status",
    "conversations",
    "create",
    "create_import",
    "delete",
    "import_status",
    "job_status",
    "listing",
    "refuse_if_dnc",
    "retrieve",
    "retrieve_by_phone",
    "save",
    "start_job",
    "update",
    "upload",
    "variables_of",
]

_BUILT_IN = ("first_name", "last_name", "do_not_call", "contact_memory", "external_id")
_COUNTRY_CODES = {"US": "1", "CA": "1", "GB": "44", "DE": "49", "FR": "33", "AT": "43", "CH": "41", "AU": "61", "IN": "91", "MX": "52"}
_TYPES: Mapping[str, type | tuple[type, ...]] = {"boolean": bool, "number": (int, float)}
_ROW_MS = 50
_QUEUED_MS = 1_000


def create(store: Store, incoming: Incoming) -> Json:
    body = dict(incoming.body)
    number = _number(body.pop("phone_number"))
    if number in store.contacts_by_number:
        raise Refused(400, "there is a contact with this phone_number")
    return _view(store, save(store, number, _checked(store, body)))


def retrieve(store: Store, incoming: Incoming) -> Json:
    return _view(store, _contact(store, incoming))


def retrieve_by_phone(store: Store, incoming: Incoming) -> Json:
    contact = _by_number(store, _number(incoming.path["phone_number"]))
    if contact is None:
        raise Refused(404, "no contact has this phone number")
    return _view(store, contact)


def update(store: Store, incoming: Incoming) -> Json:
    contact = _contact(store, incoming)
    checked = _checked(store, {name: value for name, value in incoming.body.items() if name != "phone_number"})
    return _view(store, save(store, contact.latest["phone_number"], checked))


def delete(store: Store, incoming: Incoming) -> None:
    contact = _contact(store, incoming)
    store.contacts.remove(contact.id)
    del store.contacts_by_number[contact.latest["phone_number"]]


def listing(store: Store, incoming: Incoming) -> Json:
    asked, now = incoming.body, store.now()
    criteria: Json = asked.get("filter_criteria", {})
    views = _Views(store)
    tests = list(filters.field_tests(criteria, now, _FIELDS, _KEYED_FIELDS))
    tags = set(criteria["contact_tag_ids"]["value"]) if "contact_tag_ids" in criteria else None
    excluded = set(asked.get("excluded_contact_ids", ()))
    wanted = asked.get("search_query", "").casefold()

    def matches(contact: Asset) -> bool:
        if contact.id in excluded:
            return False
        view = views[contact]
        return (
            (tags is None or any(tag["id"] in tags for tag in view["contact_tags"]))
            and wanted in _searched(view)
            and all(test(view) for test in tests)
        )

    return listed(store.contacts.entries, asked, views.__getitem__, matches, total=True)


def conversations(store: Store, incoming: Incoming) -> Json:
    contact, now = _contact(store, incoming), store.now()
    held: list[Call | Chat] = [*_calls(store, contact), *_chats(store, contact)]
    begun = sorted((_start(item), item.id, item) for item in held if _start(item) <= now)
    entries: Entries[Call | Chat] = [((start, serial), item) for serial, (start, _, item) in enumerate(begun)]
    return listed(entries, incoming.query, lambda item: _conversation(item, now))


def upload(store: Store, incoming: Incoming) -> Json:
    file: Upload = incoming.body["file"]
    try:
        rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error):
        raise Refused(400, "body.file is not CSV") from None
    upload_id = f"upload_{store.new_id('upload')}"
    store.uploads[upload_id] = [{str(name): str(value) for name, value in row.items() if name and value} for row in rows]
    return {"upload_id": upload_id, "file_name": file.filename}


def create_import(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    rows = store.uploads.get(body["upload_id"])
    if rows is None:
        raise Refused(400, "body.upload_id was not found")
    columns = {mapping["field_name"]: mapping["external_field_name"] for mapping in body["column_mapping"]}
    if len(columns) < len(body["column_mapping"]) or "phone_number" not in columns:
        raise Refused(400, "body.column_mapping must fill each field once, and phone_number among them")
    country = body.get("default_country", "US")
    if country not in _COUNTRY_CODES:
        raise Refused(400, "body.default_country is not known")
    labels = {label.strip() for label in body.get("contact_tags", ())} - {""}
    tag_ids = [_tag_id(store, label) for label in sorted(labels)]

    def take(row: Mapping[str, str]) -> bool:
        found = {field: row[column] for field, column in columns.items() if column in row}
        return _imported(store, found, country, tag_ids)

    del store.uploads[body["upload_id"]]
    return start_job(store, "import", [partial(take, row) for row in rows], busy=409)


def import_status(store: Store, _: Incoming) -> Json:
    return job_status(store, "import")


def backfill(store: Store, incoming: Incoming) -> Json:
    """Fill fields of contacts from their calls: the latest call that found something counts."""
    names: list[str] = incoming.body["backfill_attributes"]
    mappings = {item["field_name"]: item for item in store.crm.get("crm_analysis_data_mappings", ())}
    if any(name not in mappings and name != "contact_memory" for name in names):
        raise Refused(400, "body.backfill_attributes names a field without a mapping in crm_analysis_data_mappings")
    criteria: Json = incoming.body.get("backfill_call_filter", {})
    matches = filters.call_test(criteria, store.now())

    def fill(contact: Asset) -> bool:
        if contact.id not in store.contacts:
            return False
        calls = [call for call in _calls(store, contact) if store.now() >= call.plan.analyzed and matches(call)]
        found: Json = {}
        for call in sorted(calls, key=lambda call: call.position):
            analysed = custom_analysis(call.params.asked_analysis, call.plan.seed) if call.plan.start is not None else {}
            known = {name: analysed[mappings[name]["analysis_data_name"]] for name in names if _finds(analysed, mappings.get(name))}
            found |= known | ({"contact_memory": summary(call.plan)} if "contact_memory" in names else {})
        _apply(store, contact, found, mappings)
        return True

    return start_job(store, "backfill", [partial(fill, contact) for contact in store.contacts], busy=400)


def backfill_status(store: Store, _: Incoming) -> Json:
    return job_status(store, "backfill")


def start_job(store: Store, kind: str, rows: Sequence[Row], *, busy: int) -> Json:
    """Begin a job.

    :param busy: the status of the refusal while another job of its kind runs.
    :raises Refused: such a job is running.
    """
    now = store.now()
    before = store.jobs.get(kind)
    if before is not None and now < before.ends:
        raise Refused(busy, "another job of this kind has not ended")
    job = store.jobs[kind] = Job(start=now, begins=now + _QUEUED_MS, rows=rows, row_ms=_ROW_MS)

    def go_on() -> None:
        if store.now() > now:
            job.do_row()
        if job.next_due is not None:
            store.scheduler.add(job.next_due, go_on)

    go_on()
    return job.status(now)


def job_status(store: Store, kind: str) -> Json:
    job = store.jobs.get(kind)
    return {"status": "idle"} if job is None else job.status(store.now())


def save(store: Store, number: str, changes: Json) -> Asset:
    """Change the contact of a number, or create it. Null removes a value."""
    now = store.now()
    contact = _by_number(store, number)
    if contact is None:
        contact_id = f"contact_{store.new_id('contact')}"
        before: Json = {"contact_id": contact_id, "org_id": store.organization, "phone_number": number, "created_timestamp": now}
        contact = store.contacts.add(contact_id, before)
        store.contacts_by_number[number] = contact_id
    body = contact.latest | changes | {"user_modified_timestamp": now}
    if "custom_fields" in changes:
        fields = contact.latest.get("custom_fields", {}) | (changes["custom_fields"] or {})
        body["custom_fields"] = {name: value for name, value in fields.items() if value is not None}
    if "do_not_call" in changes:
        body["dnc_since"] = now
    contact.write({name: value for name, value in body.items() if value is not None})
    return contact


def refuse_if_dnc(store: Store, number: str) -> None:
    """:raises Refused: the contact of the number is on the do-not-call list."""
    contact = _by_number(store, number)
    if contact is not None and _do_not_call(store, contact):
        raise Refused(400, "the contact of body.to_number must not be called")


def variables_of(store: Store, number: str | None) -> dict[str, str]:
    """The dynamic variables that calls and chats with a number get from its contact."""
    contact = None if number is None or not store.contacts_by_number else _by_number(store, number)
    if contact is None:
        return {}
    body = contact.latest
    known = {name: body[name] for name in ("first_name", "last_name") if name in body} | body.get("custom_fields", {})
    known["do_not_call"] = _do_not_call(store, contact)
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in known.items()}


class _Views:
    """Contacts as answers show them, made once for each request."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: dict[str, Json] = {}

    def __getitem__(self, contact: Asset) -> Json:
        if contact.id not in self._made:
            self._made[contact.id] = _view(self._store, contact)
        return self._made[contact.id]


def _contact(store: Store, incoming: Incoming) -> Asset:
    return existing(store.contacts, incoming.path["contact_id"], "contact_id", 404)


def _by_number(store: Store, number: str) -> Asset | None:
    contact_id = store.contacts_by_number.get(number)
    return None if contact_id is None else store.contacts.get(contact_id)


def _number(text: str, country: str = "US") -> str:
    """A phone number in E.164 format.

    :raises Refused: it is not a phone number.
    """
    digits = re.sub(r"[\s().\-/]", "", text)
    number = digits if digits.startswith("+") else f"+{_COUNTRY_CODES[country]}{digits.removeprefix('0')}"
    if not is_e164(number):
        raise Refused(400, "phone_number is no phone number")
    return number


def _checked(store: Store, body: Json) -> Json:
    """:raises Refused: a tag or a custom field is not in the CRM settings, or a value is of the wrong type."""
    tags = {tag["id"] for tag in store.crm.get("contact_tags", ())}
    if not tags.issuperset(body.get("contact_tag_ids", ())):
        raise Refused(400, "contact_tag_ids has an id that the CRM settings do not define")
    defined = {field["name"]: field for field in store.crm.get("custom_fields", ())}
    for name, value in body.get("custom_fields", {}).items():
        if name not in defined:
            raise Refused(400, "custom_fields has a field that the CRM settings do not define")
        if value is not None and not _of_type(value, defined[name]):
            raise Refused(400, f"custom_fields: a value is not of the type {defined[name]['type']}")
    return {
        name: value for name, value in body.items() if name in {*_BUILT_IN, "contact_tag_ids", "custom_fields"} and name != "external_id"
    }


def _of_type(value: Any, field: Json) -> bool:
    if isinstance(value, bool) and field["type"] != "boolean":
        return False
    return isinstance(value, _TYPES.get(field["type"], str)) and (field["type"] != "enum" or value in field.get("options", ()))


def _view(store: Store, contact: Asset) -> Json:
    body, now = contact.latest, store.now()
    tags = {tag["id"]: tag for tag in store.crm.get("contact_tags", ())}
    held: list[Call | Chat] = [*_calls(store, contact), *_chats(store, contact)]
    started = [start for item in held if (start := _start(item)) <= now]
    view = {name: value for name, value in body.items() if name not in {"contact_tag_ids", "dnc_since"}}
    view["contact_tags"] = [tags[id] for id in body.get("contact_tag_ids", ()) if id in tags]
    view["do_not_call"] = _do_not_call(store, contact)
    view["conversation_count"] = len(started)
    if started:
        view["last_conversation_timestamp"] = max(started)
    return view


def _do_not_call(store: Store, contact: Asset) -> bool:
    """The setting, or what the person said in a call since."""
    body, now = contact.latest, store.now()
    since: int = body.get("dnc_since", 0)
    asked = any(call.plan.reason == "user_requested_dnc" and since < call.plan.end <= now for call in _calls(store, contact))
    return asked or body.get("do_not_call", False)


def _calls(store: Store, contact: Asset) -> Iterator[Call]:
    number = contact.latest["phone_number"]
    for name in ("from_number", "to_number"):
        yield from (call for _, call in store.calls.indexed_by((name, number)))


def _chats(store: Store, contact: Asset) -> Iterable[Chat]:
    number = contact.latest["phone_number"]
    return (chat for chat in store.chats if chat.user_number == number)


def _start(item: Call | Chat) -> int:
    return item.position[0] if isinstance(item, Call) else item.start


def _conversation(item: Call | Chat, now: int) -> Json:
    if isinstance(item, Chat):
        view: Json = {"type": "chat", "chat_id": item.id, "direction": item.direction, "start_timestamp": item.start}
        if now >= item.end():
            view["duration_ms"] = item.end() - item.start
        found = chat_analysis(item, now)
        if found is not None:
            view |= {"sentiment": found["user_sentiment"], "successful": found["chat_successful"], "summary": found["chat_summary"]}
        return view
    plan = item.plan
    view = {"type": "call", "call_id": item.id, "direction": item.params.direction, "start_timestamp": item.position[0]}
    if now >= plan.end:
        view |= {"duration_ms": plan.duration_ms, "disconnection_reason": plan.reason}
    if now >= plan.analyzed:
        view |= {"sentiment": plan.sentiment, "successful": plan.successful, "summary": summary(plan)}
    return view


def _searched(view: Json) -> str:
    values = [view.get(name, "") for name in ("phone_number", "first_name", "last_name", "external_id")]
    return "\n".join(map(str, [*values, *view.get("custom_fields", {}).values()])).casefold()


def _imported(store: Store, found: Mapping[str, str], country: str, tag_ids: list[str]) -> bool:
    """Import one row of a file; gives whether it succeeded."""
    defined = {field["name"]: field for field in store.crm.get("custom_fields", ())}
    changes: Json = {name: value for name, value in found.items() if name in {"first_name", "last_name", "contact_memory", "external_id"}}
    if "do_not_call" in found:
        changes["do_not_call"] = found["do_not_call"].strip().lower() in {"true", "yes", "1"}
    custom = {name: _read(value, defined[name]) for name, value in found.items() if name in defined}
    if any(value is None for value in custom.values()):
        return False
    if custom:
        changes["custom_fields"] = custom
    try:
        number = _number(found.get("phone_number", ""), country)
    except Refused:
        return False
    if tag_ids:
        contact = _by_number(store, number)
        before: list[str] = [] if contact is None else contact.latest.get("contact_tag_ids", [])
        changes["contact_tag_ids"] = [*before, *(id for id in tag_ids if id not in before)]
    save(store, number, changes)
    return True


def _read(text: str, field: Json) -> Any:
    """A value of a file, converted; ``None`` when it is not of the field's type."""
    match field["type"]:
        case "number":
            return float(text) if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]+)?", text) else None
        case "boolean":
            return {"true": True, "yes": True, "false": False, "no": False}.get(text.strip().lower())
        case "enum":
            return text if text in field.get("options", ()) else None
        case _:
            return text


def _tag_id(store: Store, label: str) -> str:
    """The id of the tag with a label; it is created if there is none."""
    tags: list[Json] = store.crm.get("contact_tags", [])
    for tag in tags:
        if tag["label"] == label:
            return str(tag["id"])
    tag = {"id": store.new_id("contact_tag", length=32), "label": label[:40]}
    store.crm = store.crm | {"contact_tags": [*tags, tag]}
    return str(tag["id"])


def _finds(analysed: Json, mapping: Json | None) -> bool:
    return mapping is not None and mapping["analysis_data_name"] in analysed


def _apply(store: Store, contact: Asset, found: Json, mappings: Mapping[str, Json]) -> None:
    """Write findings into a contact, as each mapping says."""
    defined = {field["name"]: field for field in store.crm.get("custom_fields", ())}
    body = contact.latest
    changes: Json = {}
    for name, value in found.items():
        mode = mappings[name]["update_mode"] if name in mappings else "overwrite"
        before = body.get("custom_fields", {}).get(name) if name in defined else body.get(name)
        if mode == "fill_if_empty" and before:
            continue
        merged = f"{before}\n{value}" if mode == "merge" and isinstance(before, str) and isinstance(value, str) else value
        if name in defined:
            if _of_type(merged, defined[name]):
                changes.setdefault("custom_fields", {})[name] = merged
        elif name in _BUILT_IN and isinstance(merged, bool if name == "do_not_call" else str):
            changes[name] = merged
    if changes:
        save(store, body["phone_number"], changes)


def _field(name: str) -> Field[Json]:
    return lambda view, _: view.get(name)


_FIELDS: Mapping[str, Field[Json]] = {
    name: _field(name) for name in ("contact_id", "do_not_call", "external_id", "last_conversation_timestamp", "phone_number")
}
_KEYED_FIELDS: Mapping[str, KeyedField[Json]] = {"custom_fields": lambda view, _: view.get("custom_fields", {})}
