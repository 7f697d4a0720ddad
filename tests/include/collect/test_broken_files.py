"""The ledger accounts for every record of files that were drawn and broken at random; `make bench ONLY=mutations` asks thousands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.include.collect.broken_files import File, Tally, account_for, files

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=files())
def test_every_record_is_accounted_for(file: File, tmp_path: Path) -> None:
    account_for(file, tmp_path, Tally())
