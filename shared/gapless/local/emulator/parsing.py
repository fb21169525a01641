"""Lets the embedded warehouse parse a statement once, and translate it once on this machine, not in every process."""

from __future__ import annotations

import importlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from gapless.local.emulator.store import Store

_KEPT = 64
_WORTH_KEEPING = 400  # characters
_KEPT_TRANSLATIONS = 256
_CLAIM = re.compile(r"(?<=[a-z0-9]_)\d{9}(?=_\d+[`\"])")  # in the name of a staging table, see workshop.py
_PLAIN = frozenset({int, str, bool, float, type(None)})
_MASK = "_gaplessclaim_"
_DEPENDS_ON_MORE = re.compile(r"information_schema|for\s+system_time|\*`|_table_suffix", re.IGNORECASE)
# What only looks at a tree, to learn which kind of statement it is; ten of them for every job.
_READERS = (
    ("bqemulator.jobs.executor", "_parse_for_classification"),
    ("bqemulator.jobs.executor", "_reject_dml_on_immutable"),
    ("bqemulator.jobs.executor", "_capture_dml_snapshots"),
    ("bqemulator.jobs.executor", "detect_drop_routine"),
    ("bqemulator.catalog.ddl_sync", "_detect_catalog_drop"),
    ("bqemulator.catalog.ddl_sync", "_detect_create_schema"),
    ("bqemulator.catalog.ddl_sync", "_detect_plain_create_view"),
    ("bqemulator.catalog.ddl_sync", "_detect_plain_create_table"),
    ("bqemulator.sql.catalog_schema", "build_catalog_schema"),
)
# Half of the nodes of a tree and more are of these classes, which no rule of the emulator names (`test_translations`).
NO_RULE_NAMES = (
    "Alias", "And", "Boolean", "Column", "EQ", "From", "Identifier", "Literal", "Null", "Ordered", "Paren",
    "Placeholder", "Select", "Star", "Subquery", "Table", "TableAlias", "Var", "Where",
)  # fmt: skip
_reading: ContextVar[bool] = ContextVar("_reading", default=False)


def parse_once() -> None:
    """Let the emulator parse a statement once instead of forty times.

    Each of its rewriting passes parses the text again, which for the observing statement (45 KB) takes seconds. Parsed
    trees are kept by text; who changes them gets a copy, so what the passes do with them is unchanged.
    """
    from sqlglot.dialects.dialect import Dialect

    parse = Dialect.parse
    kept: OrderedDict[tuple[str, str], list[Any]] = OrderedDict()

    def remembered(self: Any, sql: str, **options: Any) -> list[Any]:
        if options or len(sql) < _WORTH_KEEPING:
            return list(parse(self, sql, **options))
        key = (type(self).__name__, sql)
        trees = kept.get(key)
        if trees is None:
            trees = kept[key] = list(parse(self, sql))
            if len(kept) > _KEPT:
                kept.popitem(last=False)
        return list(trees) if _reading.get() else [tree if tree is None else tree.copy() for tree in trees]

    Dialect.parse = remembered  # type: ignore[method-assign]
    for module, name in _READERS:
        owner = importlib.import_module(module)
        setattr(owner, name, _reader(getattr(owner, name)))


def _reader(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, given the kept trees themselves for as long as it runs."""
    if iscoroutinefunction(function):

        @wraps(function)
        async def later(*arguments: Any, **options: Any) -> Any:
            with _only_reading():
                return await function(*arguments, **options)

        return later

    return _only_reading()(function)  # entered anew for each call


@contextmanager
def _only_reading() -> Iterator[None]:
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


def copy_quickly() -> None:
    """Let a copy of a tree be made without Python's general copying, which took half of the time that a copy takes.

    Nearly every node carries its place in the text: a dictionary of four numbers, for which `deepcopy` builds a memory
    of what it met.
    """
    core: Any = importlib.import_module("sqlglot.expressions.core")
    general, node = core.deepcopy, core.Expr

    def deepcopy(value: Any) -> Any:
        if isinstance(value, node):
            return value.__deepcopy__(None)
        if type(value) is dict and all(type(each) in _PLAIN for each in value.values()):
            return value.copy()
        return general(value)

    core.deepcopy = deepcopy


def ask_few_rules() -> None:
    """Let the emulator ask its ninety rules about a node only where one of them can want it."""
    expressions: Any = importlib.import_module("sqlglot.expressions")
    translator: Any = importlib.import_module("bqemulator.sql.translator").SQLTranslator
    passed_over = frozenset(getattr(expressions, name) for name in NO_RULE_NAMES)
    apply = translator._apply_first_matching_rule

    def apply_first_matching_rule(self: Any, node: Any, tree: Any) -> bool:
        return type(node) not in passed_over and bool(apply(self, node, tree))

    translator._apply_first_matching_rule = apply_first_matching_rule


def translate_once(folder: Path | None) -> None:
    """Keep translations, in memory and in a folder: the statements of a repair differ in the number of the claim only.

    A translation follows from the text and from the columns of the tables that it names; where it could follow from
    more (the catalogue's own views, wildcards, the past), it is made anew. The claim's number, which stands in the name
    of a staging table, is left out of what is compared and put back into what is returned.
    """
    executor: Any = importlib.import_module("bqemulator.jobs.executor")
    schemas: Any = importlib.import_module("bqemulator.sql.catalog_schema")
    translate, qualify = executor.rewrite_and_translate_statement, executor.rewrite_table_refs
    kept = Store(folder, _KEPT_TRANSLATIONS)

    def remember(key: tuple[str, ...], text: str, claim: str) -> str:
        kept.put(key, _MASK.join(text.split(f"_{claim}_")) if claim else text)
        return text

    async def translated(sql: str, *, project_id: str, ctx: Any, caller: Any, translator: Any) -> str:
        masked, claim = _masked(sql)
        schema = repr(schemas.build_catalog_schema(sql, project_id=project_id, catalog=ctx.catalog))
        key = ("translate", project_id, str(caller), masked, schema.replace(f"_{claim}_", _MASK) if claim else schema)
        known = kept.get(key)
        if known is not None:
            return _unmasked(known, claim)
        text: str = await translate(sql, project_id=project_id, ctx=ctx, caller=caller, translator=translator)
        return text if _DEPENDS_ON_MORE.search(sql) else remember(key, text, claim)

    def qualified(sql: str, project_id: str, **options: Any) -> str:
        masked, claim = _masked(sql)
        key = ("qualify", project_id, masked)
        known = None if options else kept.get(key)
        if known is None:
            text: str = qualify(sql, project_id, **options)
            return text if options else remember(key, text, claim)
        return _unmasked(known, claim)

    executor.rewrite_and_translate_statement = translated
    executor.rewrite_table_refs = qualified


def _masked(sql: str) -> tuple[str, str]:
    """A statement without its claim's number, and the number; nothing is left out where there are several."""
    claims = set(_CLAIM.findall(sql))
    if len(claims) != 1 or _MASK in sql:
        return sql, ""
    claim = claims.pop()
    return sql.replace(f"_{claim}_", _MASK), claim


def _unmasked(text: str, claim: str) -> str:
    return text.replace(_MASK, f"_{claim}_") if claim else text
