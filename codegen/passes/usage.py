"""Each component says whether requests hold it (``x-request``), answers (``x-response``), or both."""

from __future__ import annotations

from collections.abc import Iterable

from .. import marks
from ..document import Json, operations, ref_name, walk


def run(document: Json) -> None:
    for _, _, operation in operations(document):
        _mark(document, (content["schema"] for content in operation.get("requestBody", {}).get("content", {}).values()), marks.REQUEST)
        _mark(document, (parameter["schema"] for parameter in operation["parameters"]), marks.REQUEST)
        for response in operation["responses"].values():
            _mark(document, (content["schema"] for content in response.get("content", {}).values()), marks.RESPONSE)
    if document[marks.ERROR_BODY]:
        _mark(document, [document[marks.ERROR_BODY]], marks.RESPONSE)


def _mark(document: Json, schemas: Iterable[Json], key: str) -> None:
    waiting = list(schemas)
    while waiting:
        for _, schema in walk(waiting.pop()):
            if (name := ref_name(schema)) is not None and not document["components"]["schemas"][name].get(key):
                component = document["components"]["schemas"][name]
                component[key] = True
                waiting.append(component)
