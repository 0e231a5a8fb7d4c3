"""Extends schemathesis: signs in as an administrator, and knows the rules of the system that no schema can state."""

import json
import os

import requests
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

# Rules that concern the state of the system or several fields at once. A schema-valid request may break them: 400 with
# this code, or with exactly these violations.
CODES = {"account_erased", "last_administrator"}
VIOLATIONS = {
    ("password", "is too easy to guess"),
    ("filter", "must have at least one condition"),
    ("department", "must not be empty if the visibility"),
    # Empty or null clears a field that the mask names, but leaves other fields as they are.
    ("document.title", "must not be empty"),
    ("document.visibility", "must not be empty"),
    ("timeZone", "must be an IANA time zone"),
    ("updateMask", "unknown path"),
    ("userId", "must not be the owner"),
}

token = None


@schemathesis.auth(refresh_interval=None)
class Administrator:
    def get(self, case, context):
        global token
        if token is None:
            response = requests.post(
                f"{os.environ['GATEHOUSE_URL']}/v1/auth/login",
                json={
                    "email": os.environ["GATEHOUSE_EMAIL"],
                    "password": os.environ["GATEHOUSE_PASSWORD"],
                    "tokenDelivery": "body",
                },
                timeout=10,
            )
            response.raise_for_status()
            token = response.json()["accessToken"]
        return token

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def after_call(context, case, response):
    """Signs in again after an operation that ended the session."""
    global token
    was_signed_in = "Authorization" in response.request.headers
    if (response.status_code == 401 and was_signed_in) or (case.method == "DELETE" and case.path.startswith("/v1/auth/sessions")):
        token = None


@schemathesis.deserializer("application/x-ndjson")
def first_record(context, response):
    """The schema of a stream is that of each of its records."""
    return json.loads(response.content.splitlines()[0])


def is_known_rule(problem):
    if problem.get("code") in CODES:
        return True
    errors = problem.get("errors") or []
    return bool(errors) and all(
        any(error["field"] == field and error["description"].startswith(text) for field, text in VIOLATIONS)
        for error in errors
    )


def is_alphanumeric_tag(case, problem):
    """The phase `coverage` sends alphanumeric headers only, also where the pattern of the document requires quotes."""
    fields = [error["field"] for error in problem.get("errors") or []]
    return fields == ["If-Match"] and case.headers["If-Match"].isalnum()


@schemathesis.check
def documented_request_is_accepted(ctx, response, case):
    if response.status_code == 412:
        return None
    if response.status_code == 400:
        problem = response.json()
        if is_known_rule(problem) or is_alphanumeric_tag(case, problem):
            return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.check
def error_code_is_documented(ctx, response, case):
    """The operation has an example with the code, under the status or under `default`."""
    if response.status_code < 400:
        return None
    code = response.json()["code"]
    shared = case.operation.schema.raw_schema["components"]["responses"]
    responses = case.operation.definition.raw["responses"]
    for status in (str(response.status_code), "default"):
        name = responses.get(status, {}).get("$ref", "").removeprefix("#/components/responses/")
        if code in shared.get(name, {}).get("content", {}).get("application/problem+json", {}).get("examples", {}):
            return None
    # A request with another method or path than that of the operation.
    assert code in ("method_not_allowed", "route_not_found"), f"{code} ({response.status_code}) is not documented"
    return None
