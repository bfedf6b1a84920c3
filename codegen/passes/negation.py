"""What ``not`` forbids is left out, or named: the fields that exclude each other. So are lists of fields of which one is required."""

from __future__ import annotations

from .. import marks
from ..document import Json, Refused, all_schemas


def run(document: Json) -> None:
    for where, schema in list(all_schemas(document)):
        if (members := schema.get("oneOf")) and all(member.get("required") and member.keys() <= {"type", "required"} for member in members):
            schema[marks.NEEDED] = [sorted(member["required"]) for member in schema.pop("oneOf")]
        forbidden = schema.pop("not", {"oneOf": ()})
        for clause in forbidden.get("oneOf", [forbidden]):
            names = clause.get("required")
            if set(clause) != {"required"} or not names:
                raise Refused(f"{where}/not", "only `required` can be negated: what else it forbids cannot be expressed")
            if len(names) == 1:
                schema.setdefault(marks.ABSENT, []).append(names[0])
            else:
                schema.setdefault(marks.EXCLUSIVE, []).append(sorted(names))
