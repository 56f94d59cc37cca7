"""Holds what a server answers against a company's own OpenAPI file: status, form, and no name that it does not know."""

import json
import re
import urllib.parse

import jsonschema


def as_json_schema(node):
    """OpenAPI 3.0 says `nullable` where JSON Schema says null. An object that names its properties has no others."""
    if isinstance(node, list):
        return [as_json_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    schema = {name: as_json_schema(value) for name, value in node.items() if name not in ("nullable", "discriminator")}
    if schema.get("type") == "object" and schema.get("properties"):
        schema.setdefault("additionalProperties", False)
    if node.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, schema]}
    return schema


def pattern(path):
    """A path of the file, as an expression; `{id}` stands for one segment."""
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", path)))


class File:
    """The file at this path."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
        self.schemas = {name: as_json_schema(schema) for name, schema in known["components"]["schemas"].items()}
        # Paths without a place to fill go first: `/v1/refunds/search` is no refund.
        paths = sorted(known["paths"].items(), key=lambda path: path[0].count("{"))
        self.paths = [(pattern(path), methods) for path, methods in paths]
        self.checked = 0

    def validator(self, method, url, status):
        path = urllib.parse.urlsplit(url).path
        fits = (methods[method] for expression, methods in self.paths if expression.fullmatch(path) and method in methods)
        answers = next(fits)["responses"]
        answer = answers.get(str(status), answers.get("default") if status >= 400 else None)
        assert answer is not None, f"{method} {path} answers no {status}"
        schema = as_json_schema(answer["content"]["application/json"]["schema"])
        return jsonschema.Draft4Validator({**schema, "components": {"schemas": self.schemas}})

    def check(self, method, url, status, answer):
        """Fails when an answer is not as the file says."""
        error = jsonschema.exceptions.best_match(self.validator(method, url, status).iter_errors(json.loads(answer)))
        assert error is None, f"{method} {url} {status}: {error.json_path}: {error.message}"
        self.checked += 1
