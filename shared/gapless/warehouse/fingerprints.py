"""Fingerprints of rows and partitions.

`row_hash` is 60 bits of the MD5 of a row's declared content as JSON; a partition's version is the XOR of its row
hashes, so it does not depend on order. `inputs_hash` is the XOR of the versions of every upstream partition that a
target reads, taken in the same statement, and so from the same snapshot, as the rows that were built from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from gapless.declare.processor import Column, Processor


def row_hash(columns: Sequence[Column], alias: str = "") -> str:
    """The fingerprint of one row's content as an INT64 expression."""
    content = ", ".join(_compared(column, f"{alias}." if alias else "") for column in columns)
    # MD5, because FARM_FINGERPRINT is a hundred times slower on the emulator; both are exact functions of the text.
    return f"CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5(TO_JSON_STRING(STRUCT({content})))), 1, 15)) AS INT64)"


def _compared(column: Column, prefix: str) -> str:
    """A column as it goes into the fingerprint."""
    if column.type.startswith("NUMERIC"):
        # through FLOAT64, so that 4, 4.0 and 4.000 are one value whatever scale a table stores it at
        return f"CAST({prefix}{column.name} AS FLOAT64) AS {column.name}"
    return f"{prefix}{column.name}"


def version_of(processor: Processor) -> str:
    """The fingerprint column of an upstream table, or its expression where the table does not store one."""
    return "row_hash" if processor.row_hash == "stored" else row_hash(processor.content)
