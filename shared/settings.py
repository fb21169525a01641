"""Everything that the environment decides, read in one place. Bad values fail at the start, naming the variable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import BadInput

LOCAL_PROJECT = "gapless-local"


@dataclass(frozen=True)
class Settings:
    """Where the warehouse is and how Gapless may use it."""

    project: str
    emulator: str  # the address of a running emulator; empty on Google Cloud
    local: bool  # start the embedded warehouse on demand
    home: Path  # where the embedded warehouse keeps its data
    location: str
    pipeline: Path | None
    max_gib_billed: float
    timeout_seconds: int
    report_only: bool
    halted: bool
    serverless: bool  # a Cloud Function or Cloud Run instance
    publishes: bool  # completions go to Pub/Sub; otherwise they stay in this process


def read_settings(
    environment: Mapping[str, str] | None = None, *, project: str | None = None, home: Path | None = None
) -> Settings:
    """The settings of this process; raises `BadInput` naming the variable and its value.

    Without a project and without an emulator's address everything runs on the embedded warehouse.
    """
    env = os.environ if environment is None else environment
    emulator = env.get("BIGQUERY_EMULATOR_HOST", "").strip()
    project = project or env.get("GAPLESS_PROJECT") or env.get("GOOGLE_CLOUD_PROJECT") or ""
    local = not emulator and not project
    pipeline = env.get("GAPLESS_PIPELINE")
    return Settings(
        project=project or LOCAL_PROJECT,
        emulator=emulator,
        local=local,
        home=home or Path(env.get("GAPLESS_HOME") or ".gapless"),
        location=env.get("GAPLESS_LOCATION") or "US",
        pipeline=Path(pipeline) if pipeline else None,
        max_gib_billed=_number(env, "GAPLESS_MAX_GIB_BILLED", 100.0, 0.01, 1_000_000.0),
        timeout_seconds=int(_number(env, "GAPLESS_TIMEOUT_SECONDS", 540, 10, 21_600)),
        report_only=_flag(env, "GAPLESS_REPORT_ONLY"),
        halted=_flag(env, "GAPLESS_HALT"),
        serverless=bool(env.get("K_SERVICE")),
        publishes=bool(env.get("K_SERVICE") or env.get("PUBSUB_EMULATOR_HOST")) or _flag(env, "GAPLESS_PUBLISH"),
    )


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise BadInput(f"{name} is '{text}'; a number from {low:g} to {high:g} is needed")
    return value


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "").strip().lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise BadInput(f"{name} is '{text}'; true or false is needed")
    return text in ("1", "true", "yes")
