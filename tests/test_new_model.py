"""A whole new model, added as the docs say: one folder in ml/, one dbt model with its YAML. No file of the platform is edited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.conftest import CHECKOUT, TINY_SHOP

pytestmark = pytest.mark.slow

# The example of docs/extending.md: what a product should cost, from the others of its category.
EXAMPLE = CHECKOUT / "docs" / "example_model"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as it is in git, and the example's files in their places."""
    place = tmp_path_factory.mktemp("checkout")
    for room in ("dags", "dbt_project", "include", "ml"):
        shutil.copytree(CHECKOUT / room, place / room, ignore=shutil.ignore_patterns("__pycache__", "target", "logs"))
    for file in ("pyproject.toml", "requirements.txt"):
        shutil.copyfile(CHECKOUT / file, place / file)
    shutil.copytree(EXAMPLE, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def run_python(copy: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    given = {f"NIGHTSHELF_{name.upper()}": str(value) for name, value in (TINY_SHOP | settings).items()}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | given | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True)


def test_the_example_only_adds_files(copy: Path) -> None:
    added = [path.relative_to(EXAMPLE) for path in EXAMPLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path for path in added if (CHECKOUT / path).exists()] == []
    assert {path.parts[0] for path in added} == {"ml", "dbt_project"}, "nothing in dags or include"


def test_a_night_with_a_new_model(copy: Path, tmp_path: Path) -> None:
    """Sentiment is left out: tables of a model that the shop cannot have are empty, and the release says so."""
    home = tmp_path / "home"
    done = run_python(
        copy, "-m", "include.airflow_local", "nightly", "--as-of", "2026-03-01", home=home, sentiment_min_reviews=10_000_000, price_doubt=3
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(home / "serving" / "nightshelf.duckdb"), read_only=True) as release:
        ((rows, expected),) = release.execute("SELECT count(*), min(expected_price) FROM expected_prices").fetchall()
        assert rows == TINY_SHOP["demo_products"] and expected > 0
        metrics = release.execute("SELECT metric, baseline FROM model_metrics WHERE model = 'price' AND role = 'champion'").fetchall()
        assert ("closeness", "one_price") in metrics
        checks = release.execute("SELECT expectation, success FROM quality_results WHERE table_name = 'expected_prices'").fetchall()
        assert {"product_id_unique", "price_positive", "product_id_known"} <= {name for name, _ in checks} and all(ok for _, ok in checks)
        ((absent,),) = release.execute("SELECT absent_models FROM release").fetchall()
        assert "sentiment: " in absent and "aspects: " in absent and "price" not in absent
        assert release.execute("SELECT count(*) FROM review_sentiment").fetchall() == [(0,)]
        comments = release.execute("SELECT comment FROM duckdb_columns() WHERE column_name = 'expected_price'").fetchall()
        assert comments and comments[0][0]
    report = (home / "reports" / "latest.html").read_text()
    assert "Products far from their expected price" in report
    (run,) = home.glob("shops/demo/models/price/*/meta.json")
    assert run.exists(), "the model is kept like any other"


def test_a_mistake_in_a_declaration_is_named(copy: Path) -> None:
    """Before anything runs: when the DAG is read."""
    spec = copy / "ml" / "pricing" / "spec.py"
    kept = spec.read_text()
    read = "from include.stages import waits_for; from include.tables import served_tables; waits_for(); served_tables()"
    try:
        for right, wrong, said in (
            ('"products"', '"productz"', "model 'price' reads what no dbt model makes: productz"),
            ('("expected_prices",)', '("recommendations",)', "both have a file recommendations"),
            ('settings=("doubt",)', 'settings=("doubts",)', "doubts"),
            ('settings=("doubt",)', 'settings=("doubt",), shared={"doubt": "nothing"}', "shares settings that there are not: nothing"),
            ("SPECS =", "SPEC =", "ml/pricing/spec.py has no SPECS"),
        ):
            assert right in kept
            spec.write_text(kept.replace(right, wrong))
            done = run_python(copy, "-c", read)
            assert done.returncode != 0 and said in done.stderr, done.stderr
    finally:
        spec.write_text(kept)
    table = copy / "dbt_project" / "models" / "serving" / "expected_prices.yml"
    kept = table.read_text()
    try:
        for right, wrong, said in (
            ("key: [product_id]", "key: [product]", "names columns that the table has not: product"),
            ("writer: price", "writer: prize", "names 'prize' as writer, and there is no such model"),
            ("key: [product_id]", "keys: [product_id]", "keys"),
        ):
            assert right in kept
            table.write_text(kept.replace(right, wrong))
            done = run_python(copy, "-c", read)
            assert done.returncode != 0 and said in done.stderr and "expected_prices.yml" in done.stderr, done.stderr
    finally:
        table.write_text(kept)
