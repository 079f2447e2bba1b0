"""Tokens of tickets: new ones, and those found in addresses that mail came to (`delivery.compose` puts them there).

The token is 128 random bits kept with the ticket (`tickets.reply_token`): nobody can guess one, and it
says nothing by itself. It is found by an exact look-up, so there is nothing to compare byte by byte.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

_TOKEN = re.compile(r"\+([0-9a-f]{32})@", re.IGNORECASE)


def new_token() -> str:
    """128 fresh random bits, as 32 hexadecimal digits: small enough for any local part."""
    return secrets.token_hex(16)


def tokens_in(addresses: Iterable[str]) -> list[str]:
    """Every token in the addresses, in order, each once; capitals are forgiven, as servers change them."""
    found = (match[1].lower() for address in addresses if (match := _TOKEN.search(address[:320])))
    return list(dict.fromkeys(found))
