"""The connector of an HTTP endpoint that answers with JSON: bounded in time and size, no redirects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pipeline.accounts.deadline import Deadline
from pipeline.accounts.facts import SINGLE, AccountFacts, Source, from_rows
from pipeline.db.types import now
from pipeline.errors import UnreachableError

if TYPE_CHECKING:
    from pipeline.accounts.config import HttpTable

LISTS = ("payments", "invoices", "orders")


class HttpConnector:
    """Asks one endpoint for one customer. 404 means that there is no such customer."""

    def __init__(self, table: HttpTable, where: str) -> None:
        self.table = table
        self.where = where

    @property
    def name(self) -> str:
        return self.table.name

    def fetch(self, address: str, order_numbers: Sequence[str]) -> AccountFacts:
        """The answer as facts; raises `UnreachableError` or `ConfigError` with one plain line."""
        status, body = self._ask(address, order_numbers)
        if status == 404:
            return AccountFacts()
        if status != 200:
            hint = "; redirects are not followed" if 300 <= status < 400 else ""
            raise UnreachableError(f"{self.name}: {self._host} answered {status}{hint}")
        try:
            document = json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError):
            raise UnreachableError(f"{self.name}: {self._host} did not answer with JSON") from None
        if not isinstance(document, Mapping):
            raise UnreachableError(f"{self.name}: {self._host} answered with JSON that is not an object")
        return self._facts(document)

    def check(self) -> str:
        """Ask for an address that nobody has."""
        self.fetch("nobody@example.invalid", [])
        return f"{self.name}: {self._host} answers"

    @property
    def _host(self) -> str:
        return urlsplit(self.table.url).netloc.rpartition("@")[2]

    def _ask(self, address: str, order_numbers: Sequence[str]) -> tuple[int, bytes]:
        import httpx2

        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "triage"}
        for key, value in self.table.headers.items():
            headers[key] = value if isinstance(value, str) else value.read(f"{self.where}: headers.{key}")
        url = self.table.url.replace("{address}", quote(address, safe=""))
        body = {"address": address, "order_numbers": list(order_numbers)}
        data = bytearray()
        with Deadline(self.table.timeout_s) as deadline:
            try:
                with (
                    httpx2.Client(
                        follow_redirects=False, trust_env=False, timeout=self.table.timeout_s
                    ) as client,
                    client.stream(
                        self.table.method,
                        url,
                        headers=headers,
                        json=body if self.table.method == "POST" else None,
                        extensions={"trace": deadline.trace},
                    ) as response,
                ):
                    for piece in response.iter_raw():
                        data += piece
                        if len(data) > self.table.max_bytes:
                            raise UnreachableError(
                                f"{self.name}: {self._host} answered more than {self.table.max_bytes} bytes"
                            )
                    return response.status_code, bytes(data)
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                if deadline.passed or isinstance(error, httpx2.TimeoutException):
                    said = f"did not answer within {self.table.timeout_s:g} s"
                else:
                    said = f"cannot be reached: {str(error) or type(error).__name__}"
                raise UnreachableError(f"{self.name}: {self._host} {said}") from error

    def _facts(self, document: Mapping[str, Any]) -> AccountFacts:
        """Our names out of the answer's, by the configured keys or by the same name."""
        source = Source(self.name, now())
        account: dict[str, Any] = {}
        for name in dict.fromkeys((*SINGLE, *self.table.fields)):
            if name in LISTS:
                continue
            value = dig(document, self.table.fields.get(name, name))
            if value is not None and not isinstance(value, Mapping | list):
                account[name] = value
        rows: dict[str, list[Mapping[str, Any]]] = {"account": [account] if account else []}
        for name in LISTS:
            value = dig(document, self.table.fields.get(name, name))
            if isinstance(value, list):
                rows[name] = [
                    self._row(row, self.table.rows.get(name, {}))  # type: ignore[call-overload]  # a literal's name
                    for row in value[: self.table.max_rows]
                    if isinstance(row, Mapping)
                ]
        return from_rows(rows, dict.fromkeys(("account", *LISTS), source), minor_units=self.table.minor_units)

    @staticmethod
    def _row(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        mapped = {name: dig(row, key) for name, key in names.items()}
        taken = set(names.values())
        rest = {
            key: value
            for key, value in row.items()
            if key not in taken and key not in mapped and not isinstance(value, Mapping | list)
        }
        return rest | mapped


def dig(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted key, None where there is none."""
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
