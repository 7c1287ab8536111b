"""Other people's clients, answered as their own servers would: paths, shapes, errors.

They stand outside the OpenAPI document, which describes what is ours; docs/howto says how to use
each of them.
"""

from collections.abc import Mapping
from typing import Any, Final

from tallystick.api.protocols import mlflow, mlflow_artifacts, mlflow_models, mlflow_shapes
from tallystick.api.routing import Endpoint
from tallystick.errors import TallystickError

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *mlflow.ENDPOINTS,
    *mlflow_models.ENDPOINTS,
    *mlflow_artifacts.ENDPOINTS,
)
"""Every route of every protocol."""


def members(path: str, error: TallystickError) -> Mapping[str, Any]:
    """What the clients of a path look for in an error, beside what every caller is told."""
    if path.startswith(mlflow.PREFIX):
        return mlflow_shapes.members(error)
    return {}
