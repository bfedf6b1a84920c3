from __future__ import annotations

from codegen.document import Json
from codegen.passes import notes

from ..small import STRING, holding, object_


def test_a_note_comes_to_what_it_is_about() -> None:
    made = holding(A=object_(**{"a/b~c": STRING | {}}))
    laid: Json = {
        "/components/schemas/A/properties/a~1b~0c": {"unit": "ms"},
        "/paths/~1get-thing/get": {"note": "an operation"},
        "/components/schemas/Gone/properties/x": {"note": "of a field that is no longer there"},
        "/components/schemas/A/type": {"note": "of what is no schema"},
    }
    notes.lay(made, laid)
    assert made["components"]["schemas"]["A"]["properties"]["a/b~c"] == {"type": "string", "x-note": {"unit": "ms"}}
    assert made["paths"]["/get-thing"]["get"]["x-note"] == {"note": "an operation"}
