"""Every component is called what its class is called: by ``x-name`` of the overlay, else by the generator's own rule for class names."""

from __future__ import annotations

from openapi_python_client.strings import ClassName

from ..document import Json, Refused, all_schemas, pointer, ref_name, to_ref


def run(document: Json) -> None:
    schemas: Json = document["components"]["schemas"]
    new: dict[str, str] = {name: schema.pop("x-name", None) or str(ClassName(name, "")) for name, schema in schemas.items()}
    by_new: dict[str, str] = {}
    for name, target in new.items():
        if target in by_new:
            where = pointer("components", "schemas", name)
            raise Refused(where, f"would be the class {target}, as {by_new[target]} is: name one in the overlay")
        by_new[target] = name
    for _, schema in all_schemas(document):
        if (referred := ref_name(schema)) is not None:
            schema.update(to_ref(new[referred]))
    if document["x-error-body"]:
        document["x-error-body"] = to_ref(new[str(ref_name(document["x-error-body"]))])
    document["components"]["schemas"] = {new[name]: schema for name, schema in sorted(schemas.items(), key=lambda item: new[item[0]])}
