from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.api.in_process import Api, build_api


@pytest.fixture(scope="session")
def shared_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = build_api(tmp_path_factory.mktemp("server"))
    yield api
    api.close()


@pytest.fixture
def api(shared_api: Api) -> Api:
    return shared_api


@pytest.fixture
def fresh_api(tmp_path: Path) -> Iterator[Api]:
    api = build_api(tmp_path)
    yield api
    api.close()
