"""Holds what a server answers against Stripe's own OpenAPI file at STRIPE_OPENAPI: status, form, and no name that it does not know."""

import json
import os
import re
import urllib.parse

import jsonschema
import stripe

with open(os.environ["STRIPE_OPENAPI"], encoding="utf-8") as file:
    FILE = json.load(file)


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


SCHEMAS = {name: as_json_schema(schema) for name, schema in FILE["components"]["schemas"].items()}
# Newer than the file, and in what Stripe documents of the version that the connector asks for.
SCHEMAS["payment_method_details_card"]["properties"]["capture_before"] = {"type": "integer"}


def pattern(path):
    """A path of the file, as an expression; `{id}` stands for one segment."""
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", path)))


# Paths without a place to fill go first: `/v1/refunds/search` is no refund.
PATHS = sorted(((path.count("{"), pattern(path), methods) for path, methods in FILE["paths"].items()), key=lambda path: path[0])


def validator(method, url, status):
    path = urllib.parse.urlsplit(url).path
    operation = next(methods[method] for _, expression, methods in PATHS if expression.fullmatch(path) and method in methods)
    answers = operation["responses"]
    answer = answers.get(str(status), answers["default"] if status >= 400 else None)
    assert answer is not None, f"{method} {path} answers no {status}"
    schema = as_json_schema(answer["content"]["application/json"]["schema"])
    return jsonschema.Draft4Validator({**schema, "components": {"schemas": SCHEMAS}})


class Checked(stripe.RequestsClient):
    """A client of HTTP that fails when an answer is not as the file says."""

    name = "checked"
    checked = 0

    def request(self, method, url, headers, post_data=None):
        answer, status, answered = super().request(method, url, headers, post_data)
        self.check(method, url, status, answer)
        return answer, status, answered

    def check(self, method, url, status, answer):
        body = json.loads(answer)
        error = jsonschema.exceptions.best_match(validator(method, url, status).iter_errors(body))
        assert error is None, f"{method} {url} {status}: {error.json_path}: {error.message}"
        self.checked += 1
