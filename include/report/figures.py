"""The figures of one night, read from what its steps left behind. Nothing here knows how they are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from include.masking import shown_value
from include.night import Night
from include.publish import latest_release_before
from include.sql import identifier, literal
from ml.model_spec import ReportTable, known_models

Rows = list[dict[str, Any]]

GATES = ("raw", "features", "serving")
CUSTOMERS_SHOWN = 5
ACTS_SHOWN = 8


class NightFigures:
    """Reads one night's figures. What the night did not reach comes back empty."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.connection = duckdb.connect(config={"memory_limit": "1GB", "threads": night.settings.threads})
        self.connection.execute("SET temp_directory = $folder", {"folder": str(night.shop_home / "tmp")})
        self.has_warehouse = night.warehouse.exists()
        if self.has_warehouse:
            self._attach(night.warehouse, "warehouse")

    def close(self) -> None:
        self.connection.close()

    def collected(self) -> Rows:
        """Files and rows taken tonight, by table."""
        if not self._has_table("collect", "files"):
            return []
        return self._rows(
            """
            SELECT table_name, count(*) AS files, count(*) FILTER (status = 'refused') AS files_refused,
                sum(rows_read)::BIGINT AS rows_read, sum(rows_loaded)::BIGINT AS rows_loaded, sum(rows_duplicate)::BIGINT AS rows_duplicate,
                sum(rows_quarantined)::BIGINT AS rows_quarantined
            FROM warehouse.collect.files WHERE as_of = $as_of GROUP BY ALL ORDER BY table_name
            """,
            as_of=self.night.as_of_sql,
        )

    def refused_files(self) -> Rows:
        """Files of tonight that could not be read at all, with the reason."""
        if not self._has_table("collect", "files"):
            return []
        query = (
            "SELECT table_name, path, reason FROM warehouse.collect.files WHERE status = 'refused' AND as_of = $as_of ORDER BY ALL LIMIT 50"
        )
        return self._rows(query, as_of=self.night.as_of_sql)

    def quarantined(self) -> Rows:
        """Why rows were refused tonight, most frequent first, with one place to look at; values stay in the warehouse."""
        if not self._has_table("collect", "quarantine"):
            return []
        return self._rows(
            """
            SELECT table_name, column_name, regexp_replace(reason, '[''"].*[''"]', '…') AS reason, count(*) AS problems,
                min_by(path || ', row ' || row_number, (path, row_number)) AS example
            FROM warehouse.collect.quarantine WHERE as_of = $as_of GROUP BY 1, 2, 3 ORDER BY problems DESC, 1, 2, 3 LIMIT 25
            """,
            as_of=self.night.as_of_sql,
        )

    def quality(self) -> Rows:
        """Every check of every gate that ran, failed ones first."""
        files = [self.night.folder / "quality" / f"{gate}.parquet" for gate in GATES]
        gates = [str(path) for path in files if path.exists()]
        if not gates:
            return []
        query = """
            SELECT parse_filename(filename, true) AS gate, suite, table_name, expectation, success, observed, severity
            FROM read_parquet($gates, filename = true, union_by_name = true)
            ORDER BY success, severity, gate, suite, table_name, expectation
        """
        return self._rows(query, gates=gates)

    def offending_rows(self) -> Rows:
        """Every failed check with the first rows that offended: table_name, expectation, severity, rows."""
        files = [self.night.folder / "quality" / f"{gate}_offenders.json" for gate in GATES]
        return [check for path in files if path.exists() for check in json.loads(path.read_text())]

    def metrics(self) -> Rows:
        """Tonight's figures of every model, champion and challenger, beside the baseline's; those of single segments lie in the release."""
        files = sorted(str(path) for path in self.night.predictions.glob("metrics_*.parquet"))
        if not files:
            return []
        query = """
            SELECT model, role, split, metric, value, baseline, baseline_value FROM read_parquet($files, union_by_name = true)
            WHERE NOT contains(metric, '=') ORDER BY model, metric, role
        """
        return self._rows(query, files=files)

    def metrics_over_nights(self) -> Rows:
        """The deciding figures of champions and baselines, this night's and earlier ones'."""
        predicted, pruned = (
            {path.name: path for path in parent.glob("*")} for parent in (self.night.predictions.parent, self.night.folder.parent)
        )
        folders = [predicted.get(key, pruned.get(key)) for key in sorted(predicted | pruned) if key <= self.night.key][-60:]
        files = [str(path) for folder in folders if folder for path in sorted(folder.glob("metrics_*.parquet"))]
        if not files:
            return []
        query = """
            WITH deciding AS (
                SELECT file_name AS filename, decode(value) AS metric FROM parquet_kv_metadata($files) WHERE decode(key) = 'deciding'
            )
            SELECT model, metric, evaluated_at, value, baseline, baseline_value
            FROM read_parquet($files, union_by_name = true, filename = true) JOIN deciding USING (filename, metric)
            WHERE role = 'champion' ORDER BY model, metric, evaluated_at
        """
        return self._rows(query, files=files)

    def sections(self) -> list[tuple[str, list[tuple[ReportTable, Rows]]]]:
        """What each model says in the report, model by model: the tables it declares in its spec, with their rows.

        Texts come from the features, where personal data is masked and what cannot be seen is gone.
        """
        if not self._served_tonight():
            return []
        self._open_views()
        return [
            (spec.name, [(table, self._rows(table.sql, **self._asked(table.sql))) for table in spec.report])
            for spec in known_models().values()
            if spec.report
        ]

    def _open_views(self) -> None:
        """Tonight's output tables and feature files, as `serving` and `features`."""
        for schema in ("serving", "features"):
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for table in self._rows("SELECT table_name FROM duckdb_tables() WHERE database_name = 'warehouse' AND schema_name = 'serving'"):
            name = identifier(table["table_name"])
            self.connection.execute(f"CREATE OR REPLACE VIEW serving.{name} AS SELECT * FROM warehouse.serving.{name}")
        for file in sorted(self.night.features.glob("*.parquet")):
            view = f"CREATE OR REPLACE VIEW features.{identifier(file.stem)} AS SELECT * FROM read_parquet({literal(file)})"
            self.connection.execute(view)

    def _asked(self, sql: str) -> dict[str, Any]:
        """The values of the parameters that a model's query names."""
        known = self.night.settings.model_dump() | {"as_of": self.night.as_of.replace(tzinfo=None)}
        return {name: known[name] for name in set(re.findall(r"\$([a-z_]+)", sql))}

    def movement(self) -> Rows:
        """How many customers kept which share of their list since the release before, in tenths."""
        before = latest_release_before(self.night.home, self.night.shop, self.night.as_of)
        if before is None or not self._has_table("serving", "recommendations"):
            return []
        self._attach(before.path, "yesterday")
        return self._rows(
            """
            WITH today AS (SELECT customer_id, list(product_id) AS products FROM warehouse.serving.recommendations GROUP BY customer_id),
            before AS (SELECT customer_id, list(product_id) AS products FROM yesterday.main.recommendations GROUP BY customer_id)
            SELECT
                floor(10 * len(list_intersect(today.products, before.products)) / len(today.products))::INTEGER AS tenths,
                count(*) AS customers
            FROM today JOIN before USING (customer_id) GROUP BY tenths ORDER BY tenths
            """
        )

    def customers(self) -> Rows:
        """A few customers: what they did lately and what they will see. The most recently active one of each segment.

        An id that is an e-mail address is shown by its hash.
        """
        if not self._has_table("serving", "recommendations"):
            return []
        features = self.night.features
        chosen = self._rows(
            """
            SELECT segment, max_by(customer_id, (last_seen_at, customer_id)) AS customer_id FROM read_parquet($customers)
            WHERE last_seen_at IS NOT NULL AND consent GROUP BY segment ORDER BY segment LIMIT $most
            """,
            customers=str(features / "customers.parquet"),
            most=CUSTOMERS_SHOWN,
        )
        for customer in chosen:
            acts = """
                SELECT event_type, occurred_at, coalesce(title, product_id) AS title
                FROM read_parquet($interactions) AS interaction LEFT JOIN read_parquet($products) AS product USING (product_id)
                WHERE customer_id = $customer_id ORDER BY occurred_at DESC, product_id LIMIT $most
            """
            places = {"interactions": str(features / "interactions.parquet"), "products": str(features / "products.parquet")}
            customer["acts"] = self._rows(acts, customer_id=customer["customer_id"], most=ACTS_SHOWN, **places)
            shown = """
                SELECT rank, coalesce(title, product_id) AS title, strategy, reason
                FROM warehouse.serving.recommendations LEFT JOIN read_parquet($products) AS product USING (product_id)
                WHERE customer_id = $customer_id ORDER BY rank LIMIT 10
            """
            customer["list"] = self._rows(shown, customer_id=customer["customer_id"], products=places["products"])
            customer["customer_id"] = shown_value(customer["customer_id"])
        return chosen

    def totals(self) -> Mapping[str, Any]:
        """Rows of the tables a reader will find, by table."""
        if not self._has_table("serving", "recommendations"):
            return {}
        tables = self._rows(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'warehouse' AND schema_name = 'serving' ORDER BY 1"
        )
        return {
            t["table_name"]: self._rows(f"SELECT count(*) AS n FROM warehouse.serving.{identifier(t['table_name'])}")[0]["n"]
            for t in tables
        }

    def _attach(self, path: Path, name: str) -> None:
        self.connection.execute(f"ATTACH {literal(path)} AS {name} (READ_ONLY)")

    def _has_table(self, schema: str, table: str) -> bool:
        """Whether the warehouse has the table, and it is tonight's: serving tables of an earlier night do not count."""
        if not self.has_warehouse:
            return False
        if schema == "serving" and not self._served_tonight():
            return False
        query = "SELECT 1 FROM duckdb_tables() WHERE database_name = 'warehouse' AND schema_name = $schema AND table_name = $table"
        return bool(self._rows(query, schema=schema, table=table))

    def _served_tonight(self) -> bool:
        return self.has_warehouse and any(step["step"] == "serve" and step["status"] == "done" for step in self.night.steps())

    def _rows(self, query: str, **parameters: Any) -> Rows:
        cursor = self.connection.execute(query, parameters)
        names: Sequence[str] = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
