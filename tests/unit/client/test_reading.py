"""A view is read from any newer server, and never from a wrong document."""

from dataclasses import MISSING, fields
from typing import Any, get_args, get_type_hints

import pytest

from tallystick.client.reading import view, views
from tallystick.errors import InvalidError
from tallystick.wire.codec import to_json
from tallystick.wire.views import (
    GitView,
    Progress,
    Receipt,
    RunView,
    SweepView,
)
from tallystick.wire.views import (
    Warning as Notice,
)


def run_view(**changes: Any) -> RunView:
    known: dict[str, Any] = {
        "id": "run_0123456789ab",
        "name": "baseline",
        "command": "true",
        "workdir": "/w",
        "status": "ready",
        "created_at": 1.5,
        "seq": 4,
        "changed_seq": 4,
    }
    return RunView(**{**known, **changes})


def test_a_view_survives_the_way_out_and_back() -> None:
    run = run_view(
        git=GitView(head="a" * 40),
        receipt=Receipt(seq=4, leaf_hash="00" * 32, checkpoint="c"),
        warnings=[Notice(code="unknown_field", detail="d")],
        params={"lr": 0.1, "batch": 32},
        env={"PATH": "/bin"},
    )
    document = to_json(run)
    back = view(RunView, document)
    assert to_json(back) == document
    assert isinstance(back.git, GitView)
    assert isinstance(back.receipt, Receipt)


def test_fields_of_a_newer_server_are_left_out_at_every_depth() -> None:
    document = to_json(run_view(git=GitView(head="a"), warnings=[Notice(code="c", detail="d")]))
    document["invented"] = {"later": 1}
    document["git"]["signed_by"] = "someone"
    document["warnings"][0]["severity"] = 3
    run = view(RunView, document)
    assert run.git == GitView(head="a")
    assert run.warnings[0].code == "c"


def test_open_objects_keep_every_key() -> None:
    run = view(RunView, to_json(run_view(params={"anything": 1}, env={"ANY": "x"})))
    assert (run.params, run.env) == ({"anything": 1}, {"ANY": "x"})


def test_a_wrong_field_is_named() -> None:
    with pytest.raises(InvalidError, match=r"answer\.created_at: expected float"):
        view(RunView, {**to_json(run_view()), "created_at": "yesterday"})
    with pytest.raises(InvalidError, match=r"answer: expected an object"):
        view(RunView, ["not", "an", "object"])


def test_a_list_names_the_item_that_is_wrong() -> None:
    good = to_json(run_view())
    assert len(views(RunView, [good, good])) == 2
    with pytest.raises(InvalidError, match=r"answer\[1\]\.id"):
        views(RunView, [good, {**good, "id": 7}])


def test_a_whole_number_is_welcome_where_a_time_is_meant() -> None:
    assert view(RunView, {**to_json(run_view()), "created_at": 2}).created_at == 2.0


def test_nested_views_are_built_from_their_own_class() -> None:
    sweep = SweepView(
        id="swp_0123456789ab", name="n", status="running", created_at=1.0, seq=2,
        progress=Progress(total=3, running=3),
    )  # fmt: skip
    assert view(SweepView, to_json(sweep)).progress == Progress(total=3, running=3)


@pytest.mark.parametrize("shape", [RunView, SweepView])
def test_every_optional_field_may_be_missing(shape: Any) -> None:
    hints = get_type_hints(shape)
    samples: dict[Any, Any] = {str: "x", int: 1, float: 1.0}
    needed = {
        field.name: samples[hints[field.name]]
        for field in fields(shape)
        if field.default is MISSING and field.default_factory is MISSING
    }
    assert not any(get_args(hints[name]) for name in needed)
    assert view(shape, needed).id == "x"
