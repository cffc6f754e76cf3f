"""What a read-only statement is: one SELECT, over tables and harmless table functions only.

Three fences stand one behind another: the statement's parsed form is checked here, it runs in a
read-only transaction, and DuckDB itself may touch no file and no setting.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb

from store.api import StoreError

# Others read memory by address (arrow_scan), files, or switch things (force_checkpoint).
_TABLE_FUNCTIONS = frozenset({
    "range", "generate_series", "unnest", "repeat", "json_each", "json_tree", "duckdb_columns",
    "duckdb_tables", "duckdb_views", "duckdb_functions", "duckdb_keywords", "pragma_table_info",
    "pragma_version", "summary", "histogram", "histogram_values",
})  # fmt: skip
_FUNCTIONS = frozenset({"write_log", "nextval", "setseed"})
_FIX = (
    "one SELECT over vm_samples, host_samples, vms, hosts, placements, events, jobs or migrations"
)


def check(cursor: duckdb.DuckDBPyConnection, text: str) -> str:
    """The statement itself, if it only reads.

    Raises:
        StoreError: It is not one statement, or could do more than read.
    """
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise _refusal("this is not SQL", str(error)) from error
    if len(statements) != 1:
        raise _refusal("one statement at a time", f"{len(statements)} were given")
    statement = statements[0]
    if statement.type is not duckdb.StatementType.SELECT:
        raise _refusal("history is read-only", f"{statement.type.name} is not SELECT")
    tree = _tree(cursor, statement.query)
    for node in _nodes(tree):
        _check_node(node)
    return str(statement.query)


def _tree(cursor: duckdb.DuckDBPyConnection, query: str) -> object:
    try:
        row = cursor.execute("SELECT json_serialize_sql(CAST(? AS VARCHAR))", [query]).fetchone()
    except duckdb.Error as error:
        raise _refusal("this statement cannot be checked", str(error)) from error
    tree = json.loads(row[0]) if row else {"error": True}
    if tree.get("error"):
        raise _refusal("this statement cannot be checked", str(tree.get("error_message", "")))
    return tree


def _nodes(tree: object) -> Iterator[dict[str, object]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check_node(node: dict[str, object]) -> None:
    kind = str(node.get("type", ""))
    if kind.endswith("_QUERY_NODE"):  # INSERT, UPDATE, DELETE or MERGE inside a WITH
        raise _refusal("history is read-only", kind)
    function = node.get("function")
    if kind == "TABLE_FUNCTION" and isinstance(function, dict):
        name = str(function.get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise _refusal(f"the table function {name} is not offered", name)
    elif str(node.get("function_name", "")).lower() in _FUNCTIONS:
        raise _refusal("this function does more than read", str(node["function_name"]))


def _refusal(what: str, proof: str) -> StoreError:
    first = proof.strip().splitlines()[0] if proof.strip() else ""
    return StoreError(what, first, _FIX, "read-only")
