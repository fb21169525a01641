"""Where functions are: given by people, and compared with where messages and schedules go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gapless.declare.catalogue import Catalogue
from gapless.doctor.facts import DeployedFunction
from gapless.errors import BadInput


def read_addresses(catalogue: Catalogue, file: Path | None, base: str | None) -> dict[str, str]:
    """Where each function is: in a JSON file, or all below one address; raises `BadInput`. Without either, nowhere.

    The file is an object of names and addresses, or what `terraform output -json functions` prints; the state that
    `gapless.stack` keeps, which holds one as `functions`, is one too.
    """
    if file and base:
        raise BadInput("--urls and --base-url: give one of them")
    found = {name: f"{base.rstrip('/')}/{name}" for name in catalogue.functions} if base else {}
    if file:
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            raw = raw.get("functions", raw)
            found = {str(name): str(each["uri"] if isinstance(each, dict) else each) for name, each in raw.items()}
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise BadInput(f"--urls {file}: a JSON object of names and addresses is needed ({error})") from error
    for name, address in found.items():
        if not address.startswith(("http://", "https://")):
            raise BadInput(f"{name}: '{address}' is not an address; it starts with https:// or http://")
    return found


def owners(running: Mapping[str, DeployedFunction]) -> dict[str, str]:
    """Address -> function."""
    return {canonical(state.url): state.function for state in running.values() if state.url}


def place_of(function: str, running: Mapping[str, DeployedFunction]) -> DeployedFunction | None:
    """Where a function of the catalogue runs."""
    return next((state for state in running.values() if state.function == function), None)


def canonical(url: str) -> str:
    """A URL without what does not matter: query, closing slash, case of the host."""
    scheme, _, rest = url.partition("?")[0].rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}"


def is_local(url: str) -> bool:
    """Whether an address is one of this machine: nothing in the cloud is called without TLS."""
    return url.startswith("http://")


def is_named_for(name: str, function: str) -> bool:
    """Whether a resource carries a function's name, as Terraform writes it."""
    return function.replace("_", "-") in name.replace("_", "-")
