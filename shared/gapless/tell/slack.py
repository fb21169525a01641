"""Slack's incoming webhooks. The address is a secret: it stands in no error and in no log."""

from __future__ import annotations

import json
import re
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from gapless.errors import GaplessError

_REASON = re.compile(r"[a-z_]{1,60}")  # what Slack says of a refusal is one word such as no_service


class Undelivered(GaplessError):
    """Slack did not take a message."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class _Stay(HTTPRedirectHandler):
    """A redirect is an answer: the secret in the address belongs to nobody else."""

    def redirect_request(self, *_: object) -> None:
        return None


class SlackChannel:
    """The `Channel` port on one webhook."""

    name = "slack"

    def __init__(self, webhook: str, seconds: float = 10.0) -> None:
        self._webhook = webhook
        self._seconds = seconds
        self._open = build_opener(_Stay).open

    def send(self, text: str) -> None:
        """Deliver one message; raises `Undelivered`. What Slack was too slow to confirm may have arrived."""
        body = json.dumps({"text": escaped(text), "unfurl_links": False}).encode()
        try:
            request = Request(self._webhook, body, {"Content-Type": "application/json; charset=utf-8"})
            with self._open(request, timeout=self._seconds) as response:
                status, said = response.status, response.read(200).decode(errors="replace").strip()
        except HTTPError as error:
            with error:
                raise self._refused(error.code, _word(error)) from None
        except (URLError, OSError, HTTPException) as error:
            kind = type(getattr(error, "reason", error)).__name__
            raise Undelivered(f"Slack was not reached within {self._seconds:g} s ({kind})", permanent=False) from None
        except ValueError:
            raise Undelivered(
                "the webhook is no address; set GAPLESS_SLACK_WEBHOOK to the one that Slack shows", permanent=True
            ) from None
        if said.startswith("<"):
            raise Undelivered(
                f"what answered {status} at the webhook's address is a web page, not Slack", permanent=True
            )

    @staticmethod
    def _refused(status: int, word: str) -> Undelivered:
        said = f"Slack answered {status}{f' ({word})' if word else ''}"
        if status == 429 or status >= 500:
            return Undelivered(f"{said}; the next run tries again", permanent=False)
        return Undelivered(
            f"{said}; make a new webhook and set GAPLESS_SLACK_WEBHOOK, then POST {{'self_test': true}}", permanent=True
        )


def escaped(text: str) -> str:
    """Text that Slack shows as it is: no mentions, no links under another name."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _word(error: HTTPError) -> str:
    try:
        said = error.read(200).decode(errors="replace").strip()
    except (OSError, HTTPException):
        return ""
    return said if _REASON.fullmatch(said) else ""
