"""Which Pub/Sub the stack runs: Google's official emulator where it is installed, else the stack's own.

Both speak Google's protocol on one port, over gRPC and as REST, so nothing else has to know. GAPLESS_PUBSUB forces the
choice: `official` or `own`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Literal, cast

from gapless.errors import BadInput, CannotObserve

Kind = Literal["official", "own"]
VARIABLE = "GAPLESS_PUBSUB"
_JAR = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
_SDKS = ("/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/opt/google-cloud-sdk", "~/google-cloud-sdk")


def chosen() -> Kind:
    """What is wanted, else what is there; raises `CannotObserve` where the official one is wanted and not there."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "official", "own"):
        raise BadInput(f"{VARIABLE} is '{wanted}'; it can be official or own")
    lacking = lacks_official()
    if wanted == "official" and lacking:
        raise CannotObserve(f"{VARIABLE} is official, but {lacking}")
    return cast(Kind, wanted) if wanted else "own" if lacking else "official"


def told(kind: Kind) -> str:
    """For people: which one it is, and why."""
    if os.environ.get(VARIABLE):
        return f"{_NAMES[kind]}, as {VARIABLE} says"
    return _NAMES[kind] if kind == "official" else f"{_NAMES[kind]}, because {lacks_official()}"


def command(kind: Kind, port: int) -> list[str]:
    """What is run, to listen on a port."""
    if kind == "official":
        return ["java", "-Xmx256m", "-jar", str(emulator_jar()), "--host=127.0.0.1", f"--port={port}"]
    return [sys.executable, "-m", "gapless.stack.pubsub", "--port", str(port)]


def lacks_official() -> str:
    """What the official emulator needs and this machine does not have, with the way to get it; empty where it is."""
    if not shutil.which("java"):
        return (
            "the official emulator needs Java, and there is no `java` on the PATH; install it, for example: "
            "apt-get install default-jre-headless"
        )
    if not emulator_jar():
        return (
            "the official emulator is not installed; run: gcloud components install pubsub-emulator, or: "
            "apt-get install google-cloud-cli-pubsub-emulator; if it is elsewhere, name its jar in PUBSUB_EMULATOR_JAR"
        )
    return ""


def emulator_jar() -> Path | None:
    """The official emulator: where PUBSUB_EMULATOR_JAR says, or in the Google Cloud SDK."""
    named = os.environ.get("PUBSUB_EMULATOR_JAR")
    if named:
        return Path(named) if Path(named).is_file() else None
    gcloud = shutil.which("gcloud")
    beside = [str(Path(gcloud).resolve().parents[1])] if gcloud else []
    for sdk in (*beside, *_SDKS):
        found = sorted(Path(sdk).expanduser().glob(_JAR))
        if found:
            return found[-1]
    return None


_NAMES: dict[Kind, str] = {"official": "Google's official emulator", "own": "the stack's own"}
