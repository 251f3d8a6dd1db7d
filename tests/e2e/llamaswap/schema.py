"""As much of JSON Schema (draft 7) as `wharf check --schema` uses."""

import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
KNOWN = {"$schema", "title", "description", "default", "definitions", "$ref", "anyOf", "type", "properties",
         "additionalProperties", "items", "enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum"}


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_type(value, name):
    if name == "number":
        return is_number(value)
    return isinstance(value, TYPES[name])


def problems(value, schema, root, path="$"):
    """What is wrong with the value, a line each."""
    assert not set(schema) - KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return problems(value, root["definitions"][schema["$ref"].removeprefix("#/definitions/")], root, path)
    found = []
    types = schema.get("type", [])
    if types and not any(is_type(value, t) for t in ([types] if isinstance(types, str) else types)):
        return ["%s: %r is not of type %s" % (path, value, types)]
    if "enum" in schema and not any(value == x and type(value) is type(x) for x in schema["enum"]):
        found.append("%s: %r is none of %s" % (path, value, schema["enum"]))
    if "const" in schema and (value != schema["const"] or isinstance(value, bool)):
        found.append("%s: %r is not %r" % (path, value, schema["const"]))
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append("%s: %r does not match %s" % (path, value, schema["pattern"]))
    if is_number(value) and (value < schema.get("minimum", value) or value > schema.get("maximum", value) or
                             value <= schema.get("exclusiveMinimum", value - 1)):
        found.append("%s: %r is out of bounds" % (path, value))
    if "anyOf" in schema:
        tried = [problems(value, s, root, path) for s in schema["anyOf"]]
        found += [] if [] in tried else max(tried, key=lambda t: len(t[0]))
    if isinstance(value, dict):
        for key, inner in value.items():
            inside = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            found += problems(inner, inside, root, "%s.%s" % (path, key))
    for i, item in enumerate(value if isinstance(value, list) else []):
        found += problems(item, schema.get("items", {}), root, "%s[%d]" % (path, i))
    return found
