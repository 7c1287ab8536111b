"""Every error says what happened, by a code that does not change."""

import inspect
import re

import pytest

from tallystick import errors
from tallystick.errors import Refusal, TallystickError, UnavailableError
from tallystick.wire import problem

SHAPES = [
    shape
    for shape in vars(errors).values()
    if inspect.isclass(shape) and issubclass(shape, TallystickError)
]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_without_words_says_its_class(shape: type[TallystickError]) -> None:
    error = shape()
    assert error.detail == (shape.__doc__ or "").splitlines()[0]
    assert str(error) == error.detail
    assert re.fullmatch(r"[a-z_]+", error.code)
    assert (error.hint, error.next_actions, error.facts) == (None, (), {})


@pytest.mark.parametrize("shape", SHAPES)
def test_every_error_has_a_code_of_its_own_and_a_name_that_says_error(
    shape: type[TallystickError],
) -> None:
    codes = [other.default_code for other in SHAPES]
    assert codes.count(shape.default_code) == 1
    assert shape.__name__.endswith("Error") or shape is Refusal


def test_a_raise_can_say_more() -> None:
    error = errors.ConflictError("no", code="busy", hint="wait", next_actions=["GET /"], run="r")
    assert (error.detail, error.code, error.hint) == ("no", "busy", "wait")
    assert (error.next_actions, error.facts) == (("GET /",), {"run": "r"})
    assert isinstance(error, Refusal)
    assert UnavailableError.retry_after_seconds > 0


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape in problem.STATUS_OF])
def test_an_error_crosses_the_wire_and_is_raised_as_the_same_class(
    shape: type[TallystickError],
) -> None:
    error = shape("no", hint="wait", next_actions=("GET /",), run="r", type="not the document's")
    document = problem.document(error)
    assert document["type"] == f"urn:tallystick:problem:{shape.default_code}"
    again = problem.error_of(document["status"], document)
    assert type(again) is shape
    assert (again.detail, again.code, again.hint) == ("no", error.code, "wait")
    assert (again.next_actions, again.facts) == (("GET /",), {"run": "r"})


def test_what_has_no_status_of_its_own_is_ours_to_blame() -> None:
    assert problem.status_of(errors.VerificationError()) == 500
    assert problem.status_of(TallystickError()) == 500
    assert type(problem.error_of(502, {})) is UnavailableError
    assert type(problem.error_of(418, {})) is TallystickError
