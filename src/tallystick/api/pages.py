"""The few pages that the server writes itself, and the text for agents; none holds a script."""

import html
from collections.abc import Mapping
from typing import Final

from tallystick.api.schemas import Health
from tallystick.api.skills import Skill

DOCS_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""swagger-ui needs its own script and style sheet, and to call this server."""

DOCS: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tallystick: every call</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript; <a href="/openapi.json">openapi.json</a> does not.</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/init.js"></script>
</body>
</html>
"""

_INIT: Final = """window.addEventListener("load", function () {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
});
"""

_STYLE: Final = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto;
  padding: 0 1rem; color: #1b1b1b; background: #fdfdfb; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
a { color: #0b57a4; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #181818; }
  a { color: #8ab8ff; }
}
"""

OWN_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "init.js": (_INIT, "text/javascript; charset=utf-8"),
    "page.css": (_STYLE, "text/css; charset=utf-8"),
}
"""Files below /docs/ that are ours: content and media type."""


def start(health: Health) -> str:
    """The page at `/`."""
    facts = {
        "Status": health.status if health.reason is None else f"{health.status}: {health.reason}",
        "Version": health.version,
        "Ledger": f"{health.ledger_size} entries, {health.ledger_origin}",
        "Working directory of runs": health.workdir,
    }
    rows = "\n".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in facts.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tallystick</title>
<link rel="stylesheet" href="/docs/page.css">
</head>
<body>
<h1>Tallystick</h1>
<p>Every trial is a registered run in a ledger that anyone can verify.</p>
<dl>
{rows}
</dl>
<ul>
<li><a href="/docs">Every call</a>, and the same as <a href="/openapi.json">openapi.json</a></li>
<li><a href="/llms.txt">For agents</a>: llms.txt</li>
<li><a href="/prompt-skills">The protocol texts</a></li>
<li><a href="/health">Health</a></li>
</ul>
</body>
</html>
"""


def llms(skills: Mapping[str, Skill]) -> str:
    """llms.txt: where an agent starts reading."""
    texts = "\n".join(
        f"- [{skill.name}](/prompt-skills/{skill.id}): {skill.description}"
        for skill in skills.values()
    )
    return f"""# Tallystick

> An experiment server. Every trial is registered as a run in a sweep, executed by the server, and
> recorded in a ledger that anyone can verify. Never execute an experiment directly.

Send the token as `X-Auth-Token`. Send `chat_session_id`, the id of your conversation, with every
request that creates something. Create a sweep with `POST /sweeps/wild`, then register each
configuration with `POST /runs`. Wait with `GET /runs/{{id}}?wait=55`. Refusals carry
`next_actions`: make those calls.

## Protocol

{texts}

## Reference

- [Every call](/openapi.json): OpenAPI document
- [The same, for people](/docs)
- [Health](/health)
"""
