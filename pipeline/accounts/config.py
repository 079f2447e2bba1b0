"""accounts.toml, read and checked: the connectors that know customers. A mistake names file, line and key."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.accounts.lookup import Connector
from pipeline.errors import ConfigError

QUERIES = ("account", "payments", "invoices", "orders")
PARAMETERS = {"address", "order_number"}
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Timeout = Annotated[float, Field(gt=0, le=60)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_$@-]+(\.[A-Za-z0-9_$@-]+)*$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Secret(_Table):
    """A header's value that does not stand in the file: from a variable or a file, after a prefix."""

    env: str | None = None
    file: Path | None = None
    prefix: str = ""

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("give one of env and file")
        return self

    def read(self, where: str) -> str:
        """The value; raises `ConfigError` with the variable or file to mend."""
        if self.env is not None:
            value = os.environ.get(self.env, "")
            if not value:
                raise ConfigError(f"{where}: the variable {self.env} is not set")
        else:
            assert self.file is not None
            try:
                value = self.file.expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{where}: cannot read {self.file}: {error}") from None
        if any(c < " " or c == "\x7f" for c in value):
            raise ConfigError(f"{where}: the secret holds a line break or a control character")
        return self.prefix + value


class SqlTable(_Table):
    """A query on another database: every query is a SELECT that names :address, so that a customer's
    message only ever shows the customer's own rows."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    kind: Literal["sql"]
    url: str | None = None
    url_env: str | None = None
    url_file: Path | None = None
    timeout_s: Timeout = 5.0
    max_rows: Annotated[int, Field(ge=1, le=1000)] = 50
    minor_units: bool = False
    queries: dict[Literal["account", "payments", "invoices", "orders"], str]

    @field_validator("queries")
    @classmethod
    def _reads_own_rows(cls, queries: dict[str, str]) -> dict[str, str]:
        if not queries:
            raise ValueError(f"names no query; known are {', '.join(QUERIES)}")
        for name, query in queries.items():
            bare = re.sub(r"--[^\n]*|/\*.*?\*/", " ", query, flags=re.DOTALL).strip().rstrip(";")
            if not re.match(r"(?i)(select|with)\b", bare):
                raise ValueError(f"{name}: a query begins with SELECT or WITH")
            # literals, casts (::text) and times of day hold colons that are no parameters
            bare = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"|::", " ", bare)
            if ";" in bare:
                raise ValueError(f"{name}: one statement only")
            found = set(re.findall(r":([a-zA-Z_]\w*)", bare))
            if "address" not in found:
                raise ValueError(f"{name}: must name :address, so that it finds this customer's rows only")
            if found - PARAMETERS:
                raise ValueError(f"{name}: unknown parameter :{min(found - PARAMETERS)}")
        return queries

    @model_validator(mode="after")
    def _one_url(self) -> SqlTable:
        if sum(value is not None for value in (self.url, self.url_env, self.url_file)) != 1:
            raise ValueError("give one of url, url_env and url_file")
        return self

    def address(self, where: str) -> str:
        """The database's address; raises `ConfigError` when its variable or file is not there."""
        if self.url is not None:
            return self.url
        return Secret(env=self.url_env, file=self.url_file).read(where)


class HttpTable(_Table):
    """An endpoint that answers with JSON. {address} in the url is the sender's, percent-encoded; a POST
    carries {"address": …, "order_numbers": […]} instead.

    `fields` maps our names to dotted keys of the answer (plan = "subscription.plan"), `rows` the names
    within the lists ([connector.rows.payments] amount = "amount_cents").
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    kind: Literal["http"]
    url: str
    method: Literal["GET", "POST"] = "GET"
    timeout_s: Timeout = 5.0
    max_bytes: Annotated[int, Field(ge=1_000, le=10_000_000)] = 1_000_000
    max_rows: Annotated[int, Field(ge=1, le=1000)] = 50
    minor_units: bool = False
    allow_plain_http: bool = False
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")], str | Secret] = {}
    fields: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Key] = {}
    rows: dict[Literal["payments", "invoices", "orders"], dict[str, Key]] = {}

    @model_validator(mode="after")
    def _safe(self) -> HttpTable:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: write it like https://host/customers/{address}")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not self.allow_plain_http:
            raise ValueError("url: https only (allow_plain_http = true switches that off)")
        if "{" in parts.netloc:
            raise ValueError("url: the host is fixed; {address} stands in the path or the query")
        unknown = set(re.findall(r"\{([^}]*)\}", self.url)) - {"address"}
        if unknown:
            raise ValueError(f"url: unknown {{{min(unknown)}}}; there is {{address}}")
        if self.method == "GET" and "{address}" not in self.url:
            raise ValueError("url: a GET names {address}")
        if any(c < " " for value in self.headers.values() if isinstance(value, str) for c in value):
            raise ValueError("headers: a value holds a line break or a control character")
        return self


_TABLE: TypeAdapter[SqlTable | HttpTable] = TypeAdapter(
    Annotated[SqlTable | HttpTable, Field(discriminator="kind")]
)


def load(path: Path, *, home: Path) -> list[Connector]:
    """The connectors of a file; {home} in a url is this folder. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return read(text, home=home, where=str(path))


def read(text: str, *, home: Path, where: str = "accounts.toml") -> list[Connector]:
    """The connectors of a TOML text; `where` is what errors call it."""
    from pipeline.accounts.http import HttpConnector
    from pipeline.accounts.sql import SqlConnector

    connectors: list[Connector] = []
    for table in _tables(text, where, home):
        said = f"{where}, connector {table.name}"
        if any(each.name == table.name for each in connectors):
            raise ConfigError(f"{said}: the name is taken by another connector")
        if isinstance(table, SqlTable):
            connectors.append(SqlConnector(table, said, home=home))
        else:
            connectors.append(HttpConnector(table, said))
    return connectors


def _tables(text: str, where: str, home: Path) -> list[SqlTable | HttpTable]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: {error}") from None
    for key in document:
        if key != "connector":
            raise ConfigError(f"{where}: there is no {key!r} here; connectors stand as [[connector]]")
    rows = document.get("connector", [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError(f"{where}: connectors stand as [[connector]], with two brackets")
    return [_one(text, where, number, dict(row), home) for number, row in enumerate(rows, start=1)]


def _one(text: str, where: str, number: int, row: dict[str, Any], home: Path) -> SqlTable | HttpTable:
    url = row.get("url")
    if isinstance(url, str):
        row["url"] = url.replace("{home}", str(home.expanduser().resolve()))
    try:
        return _TABLE.validate_python(row)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(part) for part in first["loc"] if part not in ("sql", "http")]
        words = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            words = "there is no such setting here"
        elif first["type"] == "missing":
            words = "is missing"
        elif first["type"].startswith("union_tag"):
            keys, words = ["kind"], 'is "sql" or "http"'
        elif first["type"] == "literal_error" and keys[:1] == ["queries"]:
            words = f"known queries are {', '.join(QUERIES)}"
        name = row.get("name")
        who = f"connector {name}" if isinstance(name, str) else f"connector number {number}"
        line = _line(text, number, keys[-1] if keys else None)
        at = f": {'.'.join(keys)}" if keys else ""
        raise ConfigError(f"{where}, line {line}, {who}{at}: {words}") from None


def _line(text: str, number: int, key: str | None) -> int:
    """The line of a key within the connector of that number, or of its [[connector]] line."""
    seen, start = 0, 1
    for at, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\[\s*connector\s*\]\]", line):
            seen += 1
            start = at if seen == number else start
        elif (
            seen == number
            and key
            and re.match(rf"""\s*\[?[\w.]*?["']?{re.escape(key)}["']?\s*[=.\]]""", line)
        ):
            return at
    return start
