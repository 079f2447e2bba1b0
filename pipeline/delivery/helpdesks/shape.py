"""What every helpdesk adapter works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.delivery.posting import TIMEOUT_S


@dataclass(frozen=True)
class Site:
    """One installation of a helpdesk, and our way in. `user` is Zendesk's, `account` Chatwoot's."""

    base_url: str
    token: str = field(repr=False)
    user: str | None = None
    account: int | None = None
    as_note: bool = False
    allow_private: bool = False
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True)
class Request:
    """A call of the helpdesk's API: `path` follows the base address, `document` becomes its JSON body."""

    method: str
    path: str
    document: dict[str, Any]
