"""Which functions exist, what calls them, what they may touch: `gapless/functions/functions.yaml`, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gapless.errors import BadInput

DEFAULT_FILE = Path(__file__).resolve().parents[1] / "functions" / "functions.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(_Strict):
    """One Cloud Scheduler job."""

    cron: str = Field(pattern=r"^(\S+ ){4}\S+$")
    zone: str
    body: dict[str, Any]


class Function(_Strict):
    """One deployed function."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")
    description: str
    topics: tuple[str, ...] = ()
    schedules: dict[str, Schedule] = Field(default_factory=dict)
    publishes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    secrets: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    memory_mb: int = Field(ge=256, le=32768)
    cpu: int = Field(ge=1, le=8)
    timeout_seconds: int = Field(ge=10, le=590)  # a push that takes 600 s is delivered again
    concurrency: int = Field(ge=1, le=1000)
    min_instances: int = Field(ge=0)
    max_instances: int = Field(ge=1)

    @property
    def source(self) -> str:
        """The module that holds it, beside the package `gapless`; the callable has the function's name."""
        return f"gapless/functions/{self.name}.py"


class Catalogue(_Strict):
    """Every function, and the topics that are made for them."""

    topics: tuple[str, ...]
    functions: dict[str, Function]


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Read the catalogue; raises `BadInput` naming function and field."""
    path = path or DEFAULT_FILE
    try:
        raw: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        defaults = dict(raw["defaults"])
        functions = {name: {"name": name, **defaults, **fields} for name, fields in raw["functions"].items()}
        unknown = set(raw) - {"topics", "defaults", "functions"}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path.name}: topics, defaults and functions are needed ({error})") from error
    if unknown:
        raise BadInput(f"{path.name}: {sorted(unknown)[0]}: unknown field")
    try:
        return Catalogue(topics=raw.get("topics", ()), functions=functions)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
