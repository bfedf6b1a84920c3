from __future__ import annotations

from codegen.passes import errors, reachable

from ..small import STRING, after, array, content, document, object_, operation, ref


def test_each_component_says_where_it_is_used() -> None:
    given = document(
        {"/a/{x}": {"post": operation("a", array(ref("Out")), requestBody=content(ref("In")), parameters=[])}},
        {
            "In": object_(both=array(ref("Both")), own=ref("In")),
            "Out": object_(both={"type": "object", "additionalProperties": ref("Both")}),
            "Both": object_(deep=ref("Deep")),
            "Deep": object_(up=ref("Both")),
            "Sort": STRING,
        },
    )
    given["paths"]["/a/{x}"]["post"]["parameters"].append({"name": "sort", "in": "query", "schema": ref("Sort")})
    given["paths"]["/a/{x}"]["post"]["responses"]["400"] = content(object_(message=STRING))
    errors.run(given)
    reachable.run(given)
    schemas = after(reachable.usage, given)["components"]["schemas"]
    used = {name: (schema.get("x-request", False), schema.get("x-response", False)) for name, schema in schemas.items()}
    assert used == {
        "In": (True, False),
        "Out": (False, True),
        "Both": (True, True),
        "Deep": (True, True),
        "Sort": (True, False),
        "ErrorResponse": (False, True),
    }
