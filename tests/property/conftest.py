"""How long the property tests search: briefly, and with TALLY_SOAK=1 (`make soak`) for hours."""

import os

from hypothesis import settings

settings.register_profile("brief", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=10_000)
settings.load_profile("soak" if os.environ.get("TALLY_SOAK") == "1" else "brief")
