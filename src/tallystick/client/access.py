"""Calls about people: tokens, policy, sessions."""

from typing import Literal

from tallystick.client.caller import path_of
from tallystick.client.calls import Calls
from tallystick.client.reading import view, views
from tallystick.wire.codec import to_json
from tallystick.wire.requests import CreateToken, UpdatePolicy
from tallystick.wire.views import PolicyView, SessionView, TokenView

TokenRole = Literal["administrator", "researcher", "agent", "auditor"]
Enforcement = Literal["enforce", "warn"]


class AccessCalls(Calls):
    """Who may do what, and who did what."""

    def create_token(
        self,
        role: TokenRole,
        *,
        session: str | None = None,
        expires_seconds: int | None = None,
        key: str | None = None,
    ) -> TokenView:
        """A new token; its secret stands in this one answer and nowhere else (P9.2)."""
        body = CreateToken(role=role, session=session, expires_seconds=expires_seconds)
        return view(TokenView, self._create("/tokens", body, key=key))

    def tokens(self) -> list[TokenView]:
        """Every token that was handed out, without its secret, newest first."""
        return views(TokenView, list(self._pages("/tokens", {}, None)))

    def revoke_token(self, token_id: str) -> TokenView:
        """Close a token for good; repeating it is harmless."""
        return view(TokenView, self._caller.post(path_of("tokens", token_id, "revoke")))

    def policy(self) -> PolicyView:
        """The policy in force (P1.2)."""
        return view(PolicyView, self._caller.get("/policy"))

    def set_policy(
        self, *, session: Enforcement | None = None, sweep: Enforcement | None = None
    ) -> PolicyView:
        """Change the policy; people only, else `ForbiddenError`."""
        body = to_json(UpdatePolicy(session=session, sweep=sweep))
        given = {field: value for field, value in body.items() if value is not None}
        return view(PolicyView, self._caller.post("/policy", given, method="PUT"))

    def sessions(self, *, limit: int | None = None) -> list[SessionView]:
        """Conversations, the newest first; all of them unless `limit` says otherwise."""
        return views(SessionView, list(self._pages("/sessions", {}, limit)))

    def session_of(self, session_id: str) -> SessionView:
        """One conversation; raises `NotFoundError` when it created nothing yet."""
        return view(SessionView, self._caller.get(path_of("sessions", session_id)))
