"""What ``not`` forbids is said by leaving it out, or by naming the fields that exclude each other."""

from __future__ import annotations

from .. import marks
from ..document import Json, Refused, all_schemas


def run(document: Json) -> None:
    for where, schema in list(all_schemas(document)):
        if "not" not in schema:
            continue
        forbidden = schema.pop("not")
        for clause in forbidden.get("oneOf", [forbidden]):
            names = clause.get("required")
            if set(clause) != {"required"} or not names:
                raise Refused(f"{where}/not", "only `required` can be negated: what else it forbids cannot be expressed")
            if len(names) == 1:
                schema.setdefault(marks.ABSENT, []).append(names[0])
            else:
                schema.setdefault(marks.EXCLUSIVE, []).append(sorted(names))
