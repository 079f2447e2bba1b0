"""Settings from the environment or `.env`, prefix TRIAGE_; the whole list, with what each is for.

Any secret may be given as a file: TRIAGE_SECRET_KEY_FILE=/run/secrets/key. Provider keys go by their
usual names, without the prefix.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipeline.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ADDRESS = re.compile(
    r"[^\s<>(),;:\\\"\[\]@\x00-\x1f\x7f-\x9f]{1,64}@[^\s<>(),;:\\\"\[\]@\x00-\x1f\x7f-\x9f]{1,250}"
)


class Settings(BaseSettings):
    """What an operator may set. Only `pipeline.assembly` turns these into live parts."""

    model_config = SettingsConfigDict(
        env_prefix="TRIAGE_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        populate_by_name=True,
    )

    home: Path = Field(Path("var"), description="where the SQLite file, the demo and caches live")
    database_url: str | None = Field(None, description="default: SQLite in TRIAGE_HOME")
    broker_url: SecretStr | None = Field(None, description="amqp://, redis://; default: in process")
    queue: str = Field("triage", pattern=r"^[A-Za-z0-9._-]{1,60}$", description="its queue on the broker")
    secret_key: SecretStr | None = Field(
        None, description="signs reply tokens and links; made on first start"
    )
    public_url: str = Field("", description="where agents reach the page; default: where it listens")
    oidc_issuer: str | None = Field(None, description="single sign-on: the provider's issuer, https://…")
    oidc_client_id: str | None = Field(None, description="as registered there, with PUBLIC_URL/oidc/callback")
    oidc_client_secret: SecretStr | None = Field(None, description="none for a public client")
    oidc_label: str = Field("single sign-on", max_length=60, description="its name on the log-in page")
    smtp_url: SecretStr | None = Field(None, description="smtp://user:password@host:587 or smtps://")
    bind: str = Field("127.0.0.1:8000", description="host:port of the page")
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        validation_alias=AliasChoices("TRIAGE_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="an OpenTelemetry collector, http://host:4318: a trace per ticket; default: none",
    )

    routes: Path | None = Field(None, description="default: routes.toml in TRIAGE_HOME, here, or as shipped")
    inboxes: Path | None = Field(None, description="default: inboxes.toml in TRIAGE_HOME or here")
    accounts: Path | None = Field(None, description="default: accounts.toml in TRIAGE_HOME or here")
    policy: Path | None = Field(None, description="default: policy.md in TRIAGE_HOME or here")
    calibration: Path | None = Field(None, description="default: calibration.json in TRIAGE_HOME or here")
    prompts: Path | None = Field(None, description="default: prompts/ in TRIAGE_HOME, here, or as shipped")

    zone: str = Field("UTC", description="whose weeks the report counts, like Europe/Berlin")
    report_day: str = Field("monday", description="when the week before is written: monday to sunday")
    report_hour: int = Field(7, ge=0, le=23, description="at this hour of TRIAGE_ZONE")
    report_to: str = Field("", description="who gets it by mail: addresses separated by commas")
    report_from: str = Field("", description="default: the first inbox's from_address")
    as_is_up_to: float = Field(0.05, description="an edit share up to this counts as sent as it was")
    heavy_from: float = Field(0.40, description="from this edit share on an edit is heavy")
    rewritten_from: float = Field(0.60, description="from this edit share on the draft counts as rewritten")
    second_read_share: float = Field(
        0.02, ge=0, le=1, description="of the drafts approved as they are, so many come back to somebody else"
    )
    quick_s: float = Field(
        5.0, gt=0, le=86_400, description="an approval sooner after opening counts as hardly read"
    )

    worker_threads: int = Field(8, ge=1, le=500, description="tickets worked on at once per worker")
    lease_s: int = Field(600, ge=5, description="how long a worker may hold a step before another takes it")
    sweep_s: float = Field(5.0, gt=0, description="how often hints of what is due are sent again")
    undo_s: float = Field(10.0, ge=0, description="how long an approved reply can be taken back")
    cheap_deadline_s: float = Field(30.0, gt=0, description="of one call to a model of the cheap tier")
    strong_deadline_s: float = Field(90.0, gt=0, description="of one call to a model of any other tier")

    keep_raw_days: int = Field(365, ge=0, le=36_500, description="of raw mail at rest; 0 keeps it for ever")
    keep_attachments_days: int = Field(365, ge=0, le=36_500, description="of files; 0 keeps them for ever")
    keep_answers_days: int = Field(
        365, ge=0, le=36_500, description="of what models said, and evaluations; 0 keeps it for ever"
    )
    keep_logins_days: int = Field(
        365, ge=0, le=36_500, description="of log-in attempts; 0 keeps them for ever"
    )
    hold_after_h: float = Field(
        12.0, ge=0, description="replies of a database that lay idle so long wait for a person; 0: never"
    )

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(None, validation_alias="ANTHROPIC_API_KEY")
    anthropic_base_url: str | None = Field(None, validation_alias="ANTHROPIC_BASE_URL")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings

    @model_validator(mode="after")
    def _reached_where_it_listens(self) -> Settings:
        if not self.public_url:
            host, _, port = self.bind.rpartition(":")
            everywhere = host in ("0.0.0.0", "[::]")  # noqa: S104  # compared with, not listened on
            self.public_url = f"http://{'127.0.0.1' if everywhere else host}:{port}"
        return self

    @field_validator("rewritten_from")
    @classmethod
    def _thresholds_rise(cls, rewritten: float, others: ValidationInfo) -> float:
        as_is, heavy = (others.data.get(name, math.nan) for name in ("as_is_up_to", "heavy_from"))
        if not 0 <= as_is < heavy < rewritten <= 1:
            raise ValueError(
                "0 <= TRIAGE_AS_IS_UP_TO < TRIAGE_HEAVY_FROM < TRIAGE_REWRITTEN_FROM <= 1 must hold; "
                f"they are {as_is:g}, {heavy:g} and {rewritten:g}"
            )
        return rewritten

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not a time zone; write it like Europe/Berlin or UTC") from None
        return zone

    @field_validator("report_day")
    @classmethod
    def _is_a_day(cls, day: str) -> str:
        if day.strip().lower() not in WEEKDAYS:
            raise ValueError(f"{day!r} is not a day; write one of {', '.join(WEEKDAYS)}")
        return day.strip().lower()

    @field_validator("report_to", "report_from")
    @classmethod
    def _are_addresses(cls, text: str) -> str:
        for address in _split(text):
            if not _ADDRESS.fullmatch(address):
                raise ValueError(
                    f"{address!r} is not a mail address; write it like ann@shop.example, several with commas"
                )
        return text.strip()

    @field_validator("report_from")
    @classmethod
    def _is_one(cls, text: str) -> str:
        if len(_split(text)) > 1:
            raise ValueError("a report comes from one address")
        return text

    @property
    def report_recipients(self) -> tuple[str, ...]:
        """Who gets the weekly report, each once."""
        return tuple({address.casefold(): address for address in _split(self.report_to)}.values())

    @property
    def database(self) -> str:
        """The database address, with the default filled in."""
        return self.database_url or f"sqlite:///{self.home.expanduser().resolve() / 'triage.db'}"

    def file(self, name: str, given: Path | None, shipped: bool = True) -> Path | None:
        """Where a configuration file or folder stands: as set, in TRIAGE_HOME, here, or as shipped.

        Raises `ConfigError` if it was set and is not there; None if it is nowhere.
        """
        if given is not None:
            if not given.expanduser().exists():
                raise ConfigError(f"TRIAGE_{name.split('.')[0].upper()} names {given}, which does not exist")
            return given.expanduser()
        places = [self.home.expanduser(), Path()]
        if shipped:
            places += [PACKAGE / "shipped", PACKAGE.parent]
        return next((place / name for place in places if (place / name).exists()), None)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_FROM_FILES = (
    "TRIAGE_SECRET_KEY",
    "TRIAGE_DATABASE_URL",
    "TRIAGE_BROKER_URL",
    "TRIAGE_SMTP_URL",
    "TRIAGE_OIDC_CLIENT_SECRET",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
)


def load(**overrides: object) -> Settings:
    """Read the settings; `overrides` by field name win. Raises `ConfigError` with the variable to mend."""
    values: dict[str, object] = dict(overrides)
    for variable in _FROM_FILES:
        path = os.environ.get(f"{variable}_FILE")
        field = variable.removeprefix("TRIAGE_").lower()
        if path and field not in values:
            try:
                values[field] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{variable}_FILE: cannot read {path}: {error}") from None
    try:
        return Settings(**values)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        name = name if name.startswith(("OPENAI", "ANTHROPIC")) else f"TRIAGE_{name.removeprefix('TRIAGE_')}"
        raise ConfigError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
