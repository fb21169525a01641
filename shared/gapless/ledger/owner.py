"""Who holds a claim: a token of a process that others on the same machine can check."""

from __future__ import annotations

import os
import uuid


def this_process(*, findable: bool = True) -> str:
    """A token for the running process that another process on the same machine can check.

    Serverless instances may share all that a container sees of its machine; they are not `findable`, and their leases
    end by time alone.
    """
    if not findable:
        return f"//{uuid.uuid4().hex}"
    return f"{_machine()}/{os.getpid()}/{_started(os.getpid())}/{uuid.uuid4().hex[:8]}"


def _machine() -> str:
    """This boot of this machine, and this space of process numbers in it; empty where that cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:  # noqa: PTH123
            return f"{boot.read().strip()}:{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116
    except OSError:
        return ""


def _started(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:  # noqa: PTH123
            fields = stat.read().rsplit(")", 1)[1].split()
    except OSError:
        return "?"
    return "?" if fields[0] in "ZX" else fields[19]  # dead, and only not yet fetched by its parent


def owner_is_gone(owner: str) -> bool:
    """Whether the process that made a claim is known to be dead: it ran on this machine, and runs no more.

    So a command that was killed can be repeated at once. An owner elsewhere is never known to be dead; its lease ends.
    """
    machine, _, rest = owner.partition("/")
    pid, _, rest = rest.partition("/")
    started = rest.partition("/")[0]
    if not machine or machine != _machine() or not pid.isdigit() or started in ("", "?"):
        return False
    return _started(int(pid)) != started
