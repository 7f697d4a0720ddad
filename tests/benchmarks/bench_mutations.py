"""Thousands of files drawn and broken at random, each collected for real: does the ledger account for every record?

    python -m tests.benchmarks.bench_mutations [--files 3000] [--seed 1]

Stops at the first file that it does not account for, made as small as it goes.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.include.collect.broken_files import File, Tally, account_for, files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # a line for each file that is refused, as it should be
    tally, began = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:

        @seed(options.seed)
        @settings(
            max_examples=options.files,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        @given(file=files())
        def account(file: File) -> None:
            account_for(file, Path(folder), tally)

        account()
    figures = {
        "files": tally.files,
        "refused_whole": tally.refused,
        "rows_read": tally.rows_read,
        "rows_quarantined": tally.rows_quarantined,
    }
    line = {"benchmark": "mutations", **figures, "unaccounted": 0, "formats": tally.formats, "seconds": round(time.monotonic() - began)}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
