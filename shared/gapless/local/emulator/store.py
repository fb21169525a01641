"""Texts that follow from other texts, kept in memory and in a folder that several processes share."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

_FILES = 4000  # of about 50 KB at most; the ones that were not used for the longest time go
_MAKERS = ("bqemulator", "sqlglot", "duckdb")  # another version of one of them may translate in another way
_FORM = "1"  # of what is kept; another one is another key
_SHORT = 200  # characters of a key that are made anew sooner than read


class Store:
    """Remembers texts by key; what cannot be written or read is made again, so a full or read-only disk costs time."""

    def __init__(self, folder: Path | None, in_memory: int) -> None:
        self._kept: OrderedDict[Sequence[str], str] = OrderedDict()
        self._in_memory = in_memory
        self._makers = "\0".join((_FORM, *(f"{name} {version(name)}" for name in _MAKERS)))
        self._folder = folder
        if folder:
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                _trim(folder)

    def get(self, key: tuple[str, ...]) -> str | None:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        path = self._path(key)
        if path is None:
            return None
        try:
            seal, _, text = path.read_bytes().partition(b"\n")
            if seal.decode() != _digest(text):
                raise ValueError("cut off")
            os.utime(path)
        except (OSError, ValueError):
            return None
        return self._remember(key, text.decode())

    def put(self, key: tuple[str, ...], text: str) -> None:
        self._remember(key, text)
        path = self._path(key)
        if path is None:
            return
        with suppress(OSError):
            content = text.encode()
            handle, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(content).encode() + b"\n" + content)
            Path(name).replace(path)

    def _remember(self, key: tuple[str, ...], text: str) -> str:
        self._kept[key] = text
        if len(self._kept) > self._in_memory:
            self._kept.popitem(last=False)
        return text

    def _path(self, key: tuple[str, ...]) -> Path | None:
        if self._folder is None or sum(map(len, key)) < _SHORT:
            return None
        return self._folder / _digest("\0".join((self._makers, *key)).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _trim(folder: Path) -> None:
    used = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in used[_FILES:]:
        path.unlink(missing_ok=True)
