"""The pack's own look for damage, for tests of what is none."""

from typing import Any

import psycopg
from psycopg.rows import tuple_row

from exporter.loader import load_pack
from outbound_slo.vocabulary.errors import ErrorPolicy

(_INTEGRITY,) = (
    query.sql
    for query in load_pack("outbound", ErrorPolicy.RUNBOOK).queries
    if query.name == "integrity"
)


def find_contradictions(connection: psycopg.Connection[Any]) -> set[str]:
    """Give the checks of `outbound_integrity_violations` that find something."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_INTEGRITY.encode()).fetchall()
    return {check for check, violations in rows if violations}
