"""Everything that the environment decides, read in one place. Bad values fail at the start, naming the variable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gapless.errors import BadConfiguration

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
    long_seconds: int  # time limit of a statement that a later call may pick up
    report_only: bool
    halted: bool
    serverless: bool  # a Cloud Function or Cloud Run instance
    publishes: bool  # completions go to Pub/Sub; otherwise they stay in this process
    slack_webhook: str = field(default="", repr=False)  # a secret: where alerts go beside the log
    logs_url: str = ""  # the link in alerts; empty: Cloud Logging, where there is a project


def read_settings(
    environment: Mapping[str, str] | None = None, *, project: str | None = None, home: Path | None = None
) -> Settings:
    """The settings of this process; raises `BadConfiguration` naming the variable and its value.

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
        long_seconds=int(_number(env, "GAPLESS_LONG_SECONDS", 3600, 10, 21_600)),
        report_only=_flag(env, "GAPLESS_REPORT_ONLY"),
        halted=_flag(env, "GAPLESS_HALT"),
        serverless=bool(env.get("K_SERVICE")),
        publishes=bool(env.get("K_SERVICE") or env.get("PUBSUB_EMULATOR_HOST")) or _flag(env, "GAPLESS_PUBLISH"),
        slack_webhook=_webhook(env, "GAPLESS_SLACK_WEBHOOK"),
        logs_url=_address(env, "GAPLESS_LOGS_URL"),
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
        raise BadConfiguration(f"{name} is '{text}'; a number from {low:g} to {high:g} is needed")
    return value


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "").strip().lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise BadConfiguration(f"{name} is '{text}'; true or false is needed")
    return text in ("1", "true", "yes")


def _webhook(env: Mapping[str, str], name: str) -> str:
    """A secret address: an error does not show it. Secrets are often kept with a line's end."""
    address = env.get(name, "").strip()
    if address and not _is_address(address):
        raise BadConfiguration(f"{name} is no https:// address; its value is a secret and not shown")
    return address


def _address(env: Mapping[str, str], name: str) -> str:
    address = env.get(name, "").strip()
    if address and not _is_address(address):
        raise BadConfiguration(f"{name} is '{address}'; an https:// address is needed")
    return address


def _is_address(text: str) -> bool:
    """Whether it is encrypted on its way, or stays on this machine."""
    scheme, _, rest = text.partition("://")
    host = rest.partition("/")[0].rpartition(":")[0] or rest.partition("/")[0]
    local = host in ("127.0.0.1", "localhost")
    return (
        bool(host)
        and text.isascii()
        and text.isprintable()
        and " " not in text
        and (scheme == "https" or (scheme == "http" and local))
    )
