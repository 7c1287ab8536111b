"""Tallystick: the experiment server that agents cannot skip.

Names of the SDK are resolved when first used (PEP 562), so that the supervisor and the hook, which
import this package too, start fast and need nothing but Python.
"""

TYPE_CHECKING = False  # importing typing takes longer than all that the hook decides
if TYPE_CHECKING:
    from tallystick.client.client import Client as Client
    from tallystick.client.run import artifact as artifact
    from tallystick.client.run import flush as flush
    from tallystick.client.run import log as log
    from tallystick.client.run import summary as summary
    from tallystick.errors import TallystickError as TallystickError

__version__ = "0.1.0"
__all__ = ["Client", "TallystickError", "__version__", "artifact", "flush", "log", "summary"]


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    if name in {"artifact", "flush", "log", "summary"}:
        from tallystick.client import run  # noqa: PLC0415

        return getattr(run, name)
    if name == "Client":
        from tallystick.client.client import Client  # noqa: PLC0415

        return Client
    if name == "TallystickError":
        from tallystick.errors import TallystickError  # noqa: PLC0415

        return TallystickError
    raise AttributeError(f"module 'tallystick' has no attribute {name!r}")
