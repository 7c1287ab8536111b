import dataclasses

import pytest
from starlette.responses import Response

from tallystick.api.app import ENDPOINTS
from tallystick.api.call import Call
from tallystick.api.routing import Endpoint, Permission, RouteTable


async def nothing(_call: Call) -> Response:
    """Nothing."""
    return Response()


def endpoint(path: str, method: str = "GET") -> Endpoint:
    return Endpoint(method=method, path=path, route=nothing, permission=Permission.READ)


TABLE = RouteTable(
    [
        endpoint("/"),
        endpoint("/runs"),
        endpoint("/runs", "POST"),
        endpoint("/runs/{run}"),
        endpoint("/runs/{run}/logs"),
        endpoint("/files/search"),
        endpoint("/files/{file}/parts/{path*}"),
    ]
)


@pytest.mark.parametrize(
    ("path", "found", "values"),
    [
        (b"/", "/", ()),
        (b"/runs", "/runs", ()),
        (b"/runs/run_1", "/runs/{run}", ("run_1",)),
        (b"/runs/a%2Fb", "/runs/{run}", ("a/b",)),
        (b"/runs/run_1/logs", "/runs/{run}/logs", ("run_1",)),
        (b"/files/search", "/files/search", ()),
        (b"/files/x/parts/a/b", "/files/{file}/parts/{path*}", ("x", "a/b")),
        (b"/files/search/parts/a", "/files/{file}/parts/{path*}", ("search", "a")),
    ],
)
def test_a_path_finds_its_endpoint(path: bytes, found: str, values: tuple[str, ...]) -> None:
    match = TABLE.find(path)
    assert match is not None
    assert {item.path for item in match.methods.values()} == {found}
    assert match.values == values


@pytest.mark.parametrize(
    "path", [b"", b"//", b"/runs/", b"/runs//logs", b"/nope", b"/runs/%ff", b"/files", b"/\xc3\xa4"]
)
def test_other_paths_find_nothing(path: bytes) -> None:
    assert TABLE.find(path) is None


def test_an_endpoint_without_a_permission_is_never_served() -> None:
    bare = dataclasses.replace(endpoint("/x"), permission=None)
    with pytest.raises(TypeError, match="declares no permission"):
        RouteTable([bare])


def test_an_endpoint_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        RouteTable([endpoint("/x/{a}"), endpoint("/x/{b}")])


def test_only_the_listed_paths_are_open_and_only_for_reading() -> None:
    opened = {item.path: item.method for item in ENDPOINTS if item.permission is Permission.OPEN}
    assert set(opened.values()) == {"GET"}
    assert set(opened) == {
        "/",
        "/health",
        "/docs",
        "/docs/{file}",
        "/openapi.json",
        "/llms.txt",
        "/prompt-skills",
        "/prompt-skills/search",
        "/prompt-skills/{skill}",
        "/prompt-skills/{skill}/files",
        "/prompt-skills/{skill}/files/{path*}",
    }
