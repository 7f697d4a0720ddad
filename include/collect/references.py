"""Ids that find nothing in the table they name, and why: counted the same way for the checker of a shop's files and for the raw gate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from include.collect.contract import Column, Contract
from include.masking import mask_emails

SHOWN = 3  # ids shown of each column

# Ways in which one program spells the id of another, and what takes each away. Invisible are control characters, blanks of every width
# and marks of direction.
_INVISIBLE = r"[\s\x00-\x1F\x7F-\x{A0}\x{AD}\x{180E}\x{2000}-\x{200F}\x{2028}-\x{202F}\x{2060}\x{3000}\x{FEFF}]+"
_SPELLINGS = {
    "invisible characters": lambda text: f"regexp_replace({text}, '{_INVISIBLE}', '', 'g')",
    "small and capital letters": lambda text: f"lower({text})",
    "numbers written as decimals (17004.0)": lambda text: f"regexp_replace({text}, '[.]0+$', '')",
    "signs before them ('1001, #1001)": lambda text: f"regexp_replace({text}, '^[''#]+', '')",
    "accents put together from two signs": lambda text: f"nfc_normalize({text})",
    "leading zeros": lambda text: f"regexp_replace({text}, '^0+([0-9])', '\\1')",
}


@dataclass(frozen=True)
class Reference:
    """What became of the ids of one column.

    Attributes:
        table, column: where the ids stand; parent: the table they name; known: SELECT of the ids (id) that it has.
        rows: rows with an id there; unmatched: rows whose id finds nothing; misspelt: rows of these whose id would if spelt otherwise.
        ids: up to three ids that find nothing, e-mail addresses masked; and for each what the table has instead, or None.
        causes: what the misspelt ids differ in from those of the table, most rows first.
    """

    table: str
    column: str
    parent: str
    known: str
    rows: int
    unmatched: int
    misspelt: int
    ids: list[tuple[str, str | None]]
    causes: list[str]

    @property
    def told(self) -> str:
        """In one line: how many find nothing, examples, and the likely cause; empty where each finds its row."""
        if not self.unmatched:
            return ""
        shown = ", ".join(f"{found!r} (there is {known!r})" if known else repr(found) for found, known in self.ids)
        cause = f"; likely cause: {', '.join(self.causes)}" if self.causes else ""
        return f"{self.unmatched:,} of {self.rows:,} find nothing in {self.parent}, such as {shown}{cause}"


def find_unmatched(con: duckdb.DuckDBPyConnection, contract: Contract, schema: str) -> list[Reference]:
    """The columns that name another table and hold an id, with what finds nothing there. Where that table has no row, ids are only held
    against those of other tables that name it too: what is spelt otherwise there is one customer taken for two.

    Args:
        con: a connection in which `schema` has a table or view for each table of the contract, holding the rows that count.
        schema: SQL of the schema, such as gate or warehouse.raw.
    """
    found = []
    for table in contract:
        for column in table.columns:
            if column.references:
                parent, parent_column = column.references.split(".")
                if not con.execute(f"SELECT 1 FROM {schema}.{parent} LIMIT 1").fetchone():
                    found += _among_facts(con, contract, schema, table.name, column)
                else:
                    names = [parent_column, *(other.name for other in contract.table(parent).columns if other.also == parent_column)]
                    found += _reference(con, f"{schema}.{table.name}", column.name, f"{schema}.{parent}", names)
    return found


def _among_facts(con: duckdb.DuckDBPyConnection, contract: Contract, schema: str, table: str, column: Column) -> list[Reference]:
    """An id's other spellings in the first other table that names the same absent table."""
    others = (
        (f"{schema}.{other.name}", named.name)
        for other in contract
        for named in other.columns
        if named.references == column.references and other.name != table
    )
    for other, name in others:
        if con.execute(f'SELECT 1 FROM {other} WHERE "{name}" IS NOT NULL LIMIT 1').fetchone():
            (found,) = _reference(con, f"{schema}.{table}", column.name, other, [name]) or (None,)
            return [replace(found, unmatched=found.misspelt)] if found and found.misspelt else []
    return []


def _reference(con: duckdb.DuckDBPyConnection, table: str, column: str, parent: str, names: list[str]) -> list[Reference]:
    known = " UNION ALL ".join(f'SELECT "{name}" AS id FROM {parent} WHERE "{name}" IS NOT NULL' for name in names)
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE unmatched AS
        SELECT id, count(*) AS rows FROM (SELECT "{column}" AS id FROM {table} WHERE "{column}" IS NOT NULL)
        ANTI JOIN ({known}) USING (id) GROUP BY ALL"""
    )
    (rows,), (unmatched,) = con.execute(
        f"""SELECT count("{column}") FROM {table} UNION ALL SELECT coalesce(sum(rows), 0)::BIGINT FROM unmatched"""
    ).fetchall()
    if not rows:
        return []
    if not unmatched:
        return [Reference(_name(table), column, _name(parent), known, rows, 0, 0, [], [])]
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE spelt AS
        WITH wanted AS (SELECT id, rows, {_plain("id")} AS plain FROM unmatched),
        known AS (SELECT {_plain("id")} AS plain, min(id) AS known FROM ({known}) GROUP BY ALL)
        SELECT id, rows, known FROM wanted JOIN known USING (plain)"""
    )
    # A spelling is a cause where the ids would still differ if all the others were taken away.
    differ = ", ".join(
        f"coalesce(sum(rows) FILTER ({_plain('id', but=name)} <> {_plain('known', but=name)}), 0)::BIGINT" for name in _SPELLINGS
    )
    misspelt, *counted = con.execute(f"SELECT coalesce(sum(rows), 0)::BIGINT, {differ} FROM spelt").fetchone() or (0,)
    causes = [name for count, name in sorted(zip(counted, _SPELLINGS, strict=True), reverse=True) if count]
    ids = con.execute(f"SELECT id, known FROM unmatched LEFT JOIN spelt USING (id) ORDER BY known IS NULL, id LIMIT {SHOWN}").fetchall()
    ids = [(mask_emails(wanted), known and mask_emails(known)) for wanted, known in ids]
    return [Reference(_name(table), column, _name(parent), known, rows, unmatched, misspelt, ids, causes)]


def _plain(text: str, but: str = "") -> str:
    for name, without in _SPELLINGS.items():
        if name != but:
            text = without(text)
    return text


def _name(table: str) -> str:
    return table.rpartition(".")[2]
