"""Members of a JSON column in a query; a value that is damaged has none, and fails no query."""

from typing import Any

from sqlalchemy import String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlmodel import col


class _MemberText(GenericFunction[str]):
    type = String()
    inherit_cache = True


def member_text(column: object, *path: str) -> "_MemberText":
    """The text of the member at this path; NULL when there is none."""
    return _MemberText(col(column), literal(".".join(path)))


@compiles(_MemberText, "postgresql")
def _on_postgresql(element: _MemberText, compiler: SQLCompiler, **options: Any) -> str:
    column, path = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} #>> string_to_array({path}, '.'))"


@compiles(_MemberText, "sqlite")
def _on_sqlite(element: _MemberText, compiler: SQLCompiler, **options: Any) -> str:
    column, path = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CASE WHEN json_valid({column}) THEN json_extract({column}, '$.' || {path}) END"
