"""What schemathesis is told about this API beside its document; loaded as SCHEMATHESIS_HOOKS.

Data that fits the document may still be refused, for a reason that no schema can state. The codes
of such refusals are listed here, each with its reason; any other refusal of fitting data is a
fault of the document or of the server.
"""

import json
from typing import Any, Final

import schemathesis

REASONS: Final = {
    "budget_exceeded": "depends on what people allowed",
    "choice_unknown": "a choice is one of the alert's own",
    "choices_invalid": "of two equal ones nobody could tell which was meant",
    "columns_invalid": "names, with commas between them, of which some exist",
    "command_unfinished": "flags added to what is a comment, or an open quote, of a shell",
    "cursor_invalid": "its digits fit, and no page was ever given out under them",
    "duplicate_key": "said by the parser of JSON, of which a schema sees one of the two",
    "duplicate_point": "points that are the same configuration, whatever their spelling",
    "duplicate_value": "values that are the same configuration, whatever their spelling",
    "env_invalid": "names of variables; OpenAPI 3.0 has no propertyNames",
    "filter_invalid": "a grammar of its own",
    "gpus_unavailable": "depends on the devices of the host",
    "idempotency_key_invalid": "a header of characters that are not printable",
    "lone_surrogate": "half of a character; no JSON Schema tells it from a whole one",
    "not_finite": "numbers beyond the range of a double",
    "observations_unordered": "their numbers have to rise",
    "parameters_invalid": "values, lists and ranges, whose ends have to fit each other",
    "params_invalid": "names of parameters; OpenAPI 3.0 has no propertyNames",
    "params_too_large": "a sum over all keys and values",
    "placeholder_invalid": "where the placeholders of a command stand",
    "placeholder_missing": "names that the command has to hold",
    "placeholder_quoted": "values that fit where a shell's quotes are",
    "plan_missing": "a space has to be declared whole, the first time",
    "policy_invalid": "at least one of two fields; rules that are TOML, with words that are known",
    "policy_secret": "what may be a secret",
    "proof_range": "depends on the length of the ledger",
    "resources_unavailable": "depends on what the host has",
    "samples_missing": "random search, by its fields or by a range",
    "secret_in_parameters": "parameters stand in the ledger, and a secret must not",
    "selection_invalid": "either of two fields, and not both",
    "session_invalid": "a secret must not become the name of a session",
    "session_placeholder": "a literal, unexpanded variable",
    "session_required": "depends on the token and the policy",
    "sort_invalid": "a grammar of its own",
    "space_empty": "at least one parameter, point or seed",
    "space_too_large": "a product over all axes, and a sum of their bytes",
    "space_too_small": "more samples than there are distinct points",
    "strategy_invalid": "fields that have no meaning with the others",
    "sweep_required": "depends on the policy",
    "text_empty": "blank by Unicode, of which a pattern knows less",
    "text_invalid": "NUL, and what may be a secret",
    "text_too_long": "characters, which schemas count in the same way, of a default's length",
    "workdir_missing": "a directory on the machine of the server",
    "workdir_relative": "a path; blank stands for none",
}
"""Codes of 422 that fitting data may meet, and why the document cannot say so."""


@schemathesis.check
def refused_for_a_stated_reason(ctx: Any, response: Any, case: Any) -> None:
    """Data that fits the document is refused for the reasons above and for no other."""
    if response.status_code != 422 or case.meta is None:
        return
    if not case.meta.generation.mode.is_positive:
        return
    problem = json.loads(response.content)
    stated = problem["code"] in REASONS or (
        # The records of a journal are seven shapes told apart by `kind`: said in words only.
        problem["code"] == "invalid" and case.operation.path.endswith("/observations")
    )
    assert stated, f"{problem['code']}: {problem['detail']}"


@schemathesis.serializer("application/x-ndjson")
def lines(ctx: Any, value: Any) -> bytes:
    """The bytes of a metrics file as they are."""
    if isinstance(value, bytes):
        return value
    return (
        value.encode("utf-8", "replace") if isinstance(value, str) else json.dumps(value).encode()
    )
