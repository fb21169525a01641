"""Starts the embedded warehouse: `bqemulator` as published, with what an offline machine and long statements need."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from gapless.local.emulator import memory, parsing


def main() -> None:
    """Run the server in this process.

    Its arguments: a folder for translations or nothing, how many threads or 0 for all, then those of `bqemulator`.
    """
    cache, threads = sys.argv.pop(1), int(sys.argv.pop(1))
    from duckdb_extensions import import_extension

    # Syntax trees are millions of small objects that live as long as a statement; the default thresholds make the
    # garbage collector walk all of them again and again, for half of the time that a translation takes.
    gc.set_threshold(100_000, 50, 100)
    import_extension("spatial")  # the emulator insists on it; this copies it out of the package, nothing is downloaded
    parsing.copy_quickly()
    parsing.parse_once()
    parsing.ask_few_rules()
    parsing.translate_once(Path(cache) if cache else None)
    memory.keep_not_looking_for_pandas()
    memory.bound(threads)
    memory.keep_no_old_versions()
    memory.keep_few_results()
    memory.keep_few_jobs()
    from bqemulator.cli import main as serve

    serve()


if __name__ == "__main__":
    main()
