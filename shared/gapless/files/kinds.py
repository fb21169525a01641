"""Kinds of files: what a pipeline adds to the general reader, so that its own files can be loaded.

A pipeline file names a module in its field `files`; the module's `KINDS` is all that is asked of it. The reader knows
no kind by name: it recognises a file by a kind's layouts, and calls what the kind brings.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import ModuleType
from typing import Any, TypeAlias

from gapless.errors import BadInput, BadPipeline
from gapless.files.arrow import Array, Table
from gapless.files.contract import Pipeline, Processor
from gapless.files.layouts import Layout, Lookalike
from gapless.files.sheet import Sheet

REGISTRY = "KINDS"

Notes: TypeAlias = list[str]  # on what was left out on purpose
Parse = Callable[[Sheet, Processor, date], tuple[Table, Notes]]
Settle = Callable[[Table, Sequence[Sheet]], tuple[Table, Notes]]
Rows = Callable[[Table], Mapping[str, Array]]


@dataclass(frozen=True)
class Kind:
    """One kind of file, from its columns to the rows of the raw tables that it fills."""

    processor: str  # the source against whose declaration its cells are checked
    layouts: tuple[Layout, ...]  # the columns that it may have
    parse: Parse  # one file, cell by cell; a table with the columns `sheet` and `row`, which say where a row is from
    settle: Settle  # the files of this kind as one; what contradicts is blamed in its sheet
    rows: Mapping[str, Rows]  # the sources that it fills, each with the columns of its rows
    lookalikes: tuple[Lookalike, ...] = ()  # files that are taken for this kind, and what to do instead


def declared_kinds(pipeline: Pipeline) -> tuple[Kind, ...]:
    """The kinds of files that a pipeline declares.

    Raises `BadInput` where it declares none, and `BadPipeline` where the module that it names is none or holds none.
    """
    if pipeline.files is None:
        raise BadInput(
            f"the pipeline '{pipeline.name}' declares no kinds of files that can be loaded; fill its sources by other "
            "means, or name the module that holds its kinds in the field 'files' of the pipeline file"
        )
    owner = f"the pipeline '{pipeline.name}': files"
    kinds: Any = getattr(_module(pipeline.files, owner), REGISTRY, None)
    is_registry = isinstance(kinds, tuple) and bool(kinds) and all(isinstance(kind, Kind) for kind in kinds)
    if not is_registry:
        wanted = f"{REGISTRY}, a tuple of gapless.files.kinds.Kind"
        raise BadPipeline(f"{owner}: the module {pipeline.files} has no {wanted}")
    return tuple(kinds)


def _module(name: str, owner: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        is_itself = error.name is not None and f"{name}.".startswith(f"{error.name}.")
        if is_itself:
            raise BadPipeline(f"{owner}: there is no module {name}; see that Python finds it (PYTHONPATH)") from error
        raise BadPipeline(f"{owner}: the module {name} cannot be imported: {error}") from error
    except Exception as error:  # a module of somebody else's may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise BadPipeline(f"{owner}: the module {name} cannot be imported: {reason}") from error
