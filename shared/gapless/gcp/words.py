"""The part of an error of Google's that a person needs."""

from __future__ import annotations


def short(error: Exception) -> str:
    text = str(getattr(error, "message", "") or error)
    return text.split("; reason:")[0].split("\n\n")[0].strip()[:400]
