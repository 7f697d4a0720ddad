#!/usr/bin/env bash
# DuckDB 1.5.6, casts of texts to dates and times. ISO 8601 allows a time of day without seconds, with an offset, and a basic form without
# signs; neither TIMESTAMP nor TIMESTAMPTZ takes them. The cast to DATE takes a date and drops whatever follows it ('2026-11-28junk'), and
# the words epoch and infinity. So TRY_CAST is no test of whether a text is a date.
# Seen on 1.5.6: the first three are NULL both ways; the last three are dates.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --disable-pip-version-check duckdb==1.5.6 pytz 2>/dev/null
cat > "$place/show.py" <<'PY'
import sys
import duckdb

print("duckdb", duckdb.__version__)
con = duckdb.connect()
con.execute("SET TimeZone = 'UTC'")
seen = {}
for text in ("2026-11-20T10:00Z", "2026-11-20T10:00+01:00", "20261120T100000Z", "2026-11-20T10:00:00Z"):
    sql = "SELECT TRY_CAST($1 AS TIMESTAMP)::VARCHAR, TRY_CAST($1 AS TIMESTAMPTZ)::VARCHAR"
    seen[text] = con.execute(sql, [text]).fetchone()
for text in ("2026-11-28junk", "epoch", "infinity"):
    seen[text] = con.execute("SELECT TRY_CAST($1 AS DATE)::VARCHAR", [text]).fetchone()
for text, values in seen.items():
    print(f"{text:24} {values}")
refused = all(seen[text] == (None, None) for text in list(seen)[:3])
taken = all(seen[text][0] is not None for text in ("2026-11-28junk", "epoch", "infinity"))
sys.exit(0 if refused and taken and seen["2026-11-20T10:00:00Z"][0] else "changed: the casts take or refuse other texts now")
PY
"$place/venv/bin/python" "$place/show.py"
