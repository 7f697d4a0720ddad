"""DuckDB as a Great Expectations data source: checks run as SQL inside one open connection, nothing is fetched but counts.

Great Expectations reaches databases through SQLAlchemy and closes its connection before it fetches, which a DuckDB result
does not survive. The small dialect here hands out cursors of one connection that stays open, and ends no transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal, cast

import duckdb
import sqlalchemy
from great_expectations.compatibility import pydantic
from great_expectations.datasource.fluent import SQLDatasource
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGIdentifierPreparer, PGTypeCompiler
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import StaticPool


class DuckDBDialect(DefaultDialect):
    """DuckDB's SQL is close to PostgreSQL's; only reading is asked of it here, so every transaction verb does nothing."""

    name = "duckdb"
    driver = "duckdb"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    supports_native_boolean = True
    statement_compiler = PGCompiler
    type_compiler_cls = PGTypeCompiler
    preparer = PGIdentifierPreparer

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        return duckdb

    def initialize(self, connection: sqlalchemy.Connection) -> None:
        """Asks the server nothing: what it can do is written above."""

    def do_begin(self, dbapi_connection: Any) -> None: ...

    def do_commit(self, dbapi_connection: Any) -> None: ...

    def do_rollback(self, dbapi_connection: Any) -> None: ...


registry.register("duckdb", __name__, DuckDBDialect.__name__)


class OpenConnectionEngine(SqlAlchemyExecutionEngine):
    """Runs every query on one SQLAlchemy connection that stays open until the gate closes it."""

    @contextmanager
    def get_connection(self) -> Iterator[sqlalchemy.Connection]:
        if self._connection is None:
            self._connection = self.engine.connect()
        yield self._connection


class DuckDBDatasource(SQLDatasource):
    """A data source over a DuckDB connection that its owner opened and closes."""

    type: Literal["duckdb"] = "duckdb"  # type: ignore[assignment]
    connection_string: str = "duckdb://"

    _connection: duckdb.DuckDBPyConnection | None = pydantic.PrivateAttr(None)

    def read_through(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Run every query from now on inside `connection`."""
        self._connection = connection

    def let_go(self) -> None:
        """Close every cursor taken, so that the owner's close ends DuckDB's hold on the file."""
        self.get_execution_engine().close()
        self.get_engine().dispose()
        self._connection = None

    def test_connection(self, test_assets: bool = True) -> None:
        """The connection is open already, and comes after the data source is registered."""

    def _create_engine(self) -> sqlalchemy.Engine:
        assert self._connection is not None, "read_through comes first"
        return sqlalchemy.create_engine(self.connection_string, creator=self._connection.cursor, poolclass=StaticPool)

    def get_execution_engine(self) -> SqlAlchemyExecutionEngine:
        if self._execution_engine is None:
            self._execution_engine = OpenConnectionEngine(engine=self.get_engine(), create_temp_table=False)
        return cast(SqlAlchemyExecutionEngine, self._execution_engine)
