"""Seconds and memory of scoring for 10 thousand and for 100 thousand customers: memory must not grow with their number.

    python tests/benchmarks/bench_scoring.py [CUSTOMERS ...]

Makes a shop of 2,000 products and 20 events a customer, fits on it, and scores everybody in a process of its own; the figure is that
process's peak after the model was loaded, beside its peak before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import duckdb

from ml.recommend.config import RecommenderConfig
from ml.recommend.recommender import Recommender

CHECKOUT = Path(__file__).resolve().parents[2]
PRODUCTS, EVENTS = 2_000, 20

SCORE = """
import json, sys, time
from pathlib import Path
from ml.recommend.recommender import Recommender
features, model, out = map(Path, sys.argv[1:])
def peak_mb():  # getrusage would begin with the parent's peak
    status = Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) // 1024
loaded = Recommender.load(model)
before = peak_mb()
began = time.perf_counter()
rows = loaded.predict(features, out, out)
print(json.dumps({"rows": rows["recommendations"], "seconds": round(time.perf_counter() - began, 1),
                  "loaded_mb": before, "peak_mb": peak_mb()}))
"""


def make_features(folder: Path, customers: int) -> None:
    """A shop whose customers each like one of ten kinds of products; made by SQL from hashes, so always the same."""
    folder.mkdir()
    db = duckdb.connect()
    db.execute("create table p as select 'p' || lpad(i::varchar, 5, '0') as product_id, i from range(?) t(i)", [PRODUCTS])
    db.execute("create table c as select 'c' || lpad(i::varchar, 8, '0') as customer_id, i from range(?) t(i)", [customers])
    db.execute(
        """
        create table interactions as
        select customer_id,
            'p' || lpad((c.i % 10 + 10 * floor(pow((hash(c.i, e) % 10000) / 10000.0, 2) * ?)::int)::varchar, 5, '0') as product_id,
            'purchase' as event_type, timestamp '2026-01-01' + to_minutes((hash(e, c.i) % 115200)::int) as occurred_at,
            5.0::double as event_weight, 1.0::double as weight, true as is_target
        from c cross join range(?) t(e)
        """,
        [PRODUCTS // 10, EVENTS],
    )
    outputs = {
        "splits": """select * from (values ('train', timestamp '2026-01-01', timestamp '2026-03-01'),
            ('validation', timestamp '2026-03-01', timestamp '2026-03-11'),
            ('test', timestamp '2026-03-11', timestamp '2026-03-22')) t(split, starts_at, ends_at)""",
        "interactions": """select *, case when occurred_at < timestamp '2026-03-01' then 'train' when occurred_at < timestamp '2026-03-11'
            then 'validation' else 'test' end as split from interactions order by customer_id, occurred_at, product_id""",
        "owned": "select customer_id, product_id, min(occurred_at) as first_at from interactions group by all order by all",
        "labels": "select customer_id, product_id, 'test' as split, occurred_at as first_at from interactions where false",
        "products": """select product_id, product_id as shown_product_id,
            'Product ' || i as title, 'kind ' || (i % 10) as category, '' as brand, 1.0::double as price,
            true as is_available, false as is_repeatable, false as stated_repeatable, '' as text, '' as text_hash,
            timestamp '2025-01-01' as created_at, timestamp '2026-01-01' as first_seen_at from p order by product_id""",
        "customers": """select customer_id, 'loyal' as segment, true as consent, 20 as interactions, null::timestamp as last_seen_at,
            null::timestamp as registered_at from c order by customer_id""",
    }
    for name, query in outputs.items():
        db.sql(query).write_parquet(str(folder / f"{name}.parquet"))
    db.close()


def main(counts: list[int]) -> None:
    for customers in counts:
        with tempfile.TemporaryDirectory() as place:
            features, model, out = Path(place, "features"), Path(place, "model"), Path(place, "out")
            make_features(features, customers)
            model.mkdir()
            recommender = Recommender(RecommenderConfig())
            recommender.choice = type(recommender.choice)({"popularity": 0.2, "item_knn": 0.4, "ease": 0.4}, 0.0, 60.0)
            fitted = Recommender(RecommenderConfig())
            fitted.refit(features, Path(place), recommender)
            fitted.save(model)
            command = [sys.executable, "-c", SCORE, str(features), str(model), str(out)]
            done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
            print(json.dumps({"customers": customers} | json.loads(done.stdout.splitlines()[-1])), flush=True)


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or [10_000, 100_000])
