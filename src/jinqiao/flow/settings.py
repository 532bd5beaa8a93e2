"""Settings of a workspace: ``jinqiao.toml``, each overridden by ``JINQIAO_<SECTION>__<NAME>``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from jinqiao.domain.worth import BETA, REFUSAL_HARM_MINOR
from jinqiao.errors import SchemaError

__all__ = ["PlanSettings", "ServeSettings", "Settings", "ShelfSettings", "read_settings"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MarketplaceSettings(_Section):
    """Whose marketplace this is, and under which law, money and clock it runs."""

    name: str = "Jinqiao"
    jurisdiction: str = "CN"
    currency: str = "CNY"
    zone: str = "Asia/Shanghai"


class StoreSettings(_Section):
    """Where exact rows live: a database URL, or "" for SQLite in the workspace."""

    records_url: str = ""


class PlanSettings(_Section):
    """How a plan is solved.

    ``horizon_days`` is the stretch one plan covers; ``visits_per_customer`` expected visits in it
    (0: measured from the last four weeks). ``thin_file_share`` is the least share of expected
    applications that goes to customers with under ``thin_file_months`` of income seen; 0 turns the
    floor off.
    """

    horizon_days: int = Field(default=7, ge=1, le=28)
    visits_per_customer: float = Field(default=0.0, ge=0.0)
    beta: float = Field(default=BETA, ge=0.0, le=10.0)
    refusal_harm_minor: int = Field(default=REFUSAL_HARM_MINOR, ge=0)
    gap_target: float = Field(default=1e-3, gt=0.0, lt=1.0)
    thin_file_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    thin_file_months: int = Field(default=2, ge=0)


class ShelfSettings(_Section):
    """What a shelf looks like."""

    slots: int = Field(default=4, ge=1, le=12)
    exploration_share: float = Field(default=0.03, ge=0.0, le=0.5)
    max_per_class: int = Field(default=2, ge=1)
    max_per_institution: int = Field(default=2, ge=1)


class ServeSettings(_Section):
    """Where pages and API listen."""

    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=1, le=65535)
    session_hours: int = Field(default=12, ge=1, le=168)
    stop_check_seconds: float = Field(default=0.5, gt=0.0, le=1.0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """Every setting of a workspace, frozen."""

    model_config = SettingsConfigDict(
        env_prefix="JINQIAO_", env_nested_delimiter="__", extra="ignore", frozen=True
    )
    marketplace: MarketplaceSettings = MarketplaceSettings()
    store: StoreSettings = StoreSettings()
    plan: PlanSettings = PlanSettings()
    shelf: ShelfSettings = ShelfSettings()
    serve: ServeSettings = ServeSettings()


_SECTIONS = ("marketplace", "store", "plan", "shelf", "serve")


def read_settings(path: Path) -> Settings:
    """Return the settings of a ``jinqiao.toml``, environment first.

    Raises SchemaError naming the section, the field and what it may be.
    """

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, TomlConfigSettingsSource(settings_cls, path)

    _check_sections(path)
    try:
        return FromFile()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SchemaError(first["msg"], record=path.name, field=where) from error


def _check_sections(path: Path) -> None:
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SchemaError(f"not a TOML file: {error}", record=path.name) from error
    unknown = sorted(set(tables) - set(_SECTIONS))
    if unknown:
        raise SchemaError(
            "no such section", record=path.name, field=unknown[0], fix=f"one of {list(_SECTIONS)}"
        )
