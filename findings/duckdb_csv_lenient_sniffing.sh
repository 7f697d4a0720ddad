#!/usr/bin/env bash
# DuckDB 1.5.6, read_csv with strict_mode = false on a valid CSV file (RFC 4180: quotes within a value are doubled) in which inch marks
# stand before commas: the sniffer decides that there is no escape character. With null_padding and ignore_errors, as people set them to
# get a dirty file in, the columns of such rows are shifted and nothing is said; in strict mode every value comes out as it was written.
# Seen on 1.5.6: lenient: the escape is "(empty)", and no row comes out with its five values; strict: 400 of 400 rows right.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --disable-pip-version-check duckdb==1.5.6 2>/dev/null
cat > "$place/show.py" <<'PY'
import csv, pathlib, sys
import duckdb

path = str(pathlib.Path(sys.argv[1]) / "reviews.csv")
texts = ['I am 5\'4", slim, and it fits', 'cut at 26", not 28", sadly', "plain, with a comma", "plain"]
with open(path, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "age", "title", "text", "rating"])
    for number in range(400):
        writer.writerow([number, 30 + number % 40, "a title", texts[number % 4], 1 + number % 5])

print("duckdb", duckdb.__version__)
lenient = "strict_mode = false, null_padding = true, ignore_errors = true, all_varchar = true"
(escape,) = duckdb.execute(f"SELECT Escape FROM sniff_csv(?, {lenient})", [path]).fetchone()
rows = duckdb.execute(f"SELECT * FROM read_csv(?, {lenient})", [path]).fetchall()
right = sum(len(row) == 5 and row[3] == texts[int(row[0]) % 4] and row[4] == str(1 + int(row[0]) % 5) for row in rows if (row[0] or "").isdigit())
print(f"lenient: escape {escape!r}, {right} of 400 rows right")
rows = duckdb.execute("SELECT * FROM read_csv(?, header = true, delim = ',', quote = '\"', escape = '\"', auto_detect = false, columns = "
    "{'id': 'VARCHAR', 'age': 'VARCHAR', 'title': 'VARCHAR', 'text': 'VARCHAR', 'rating': 'VARCHAR'}, strict_mode = true)", [path]).fetchall()
strict = sum(row[3] == texts[int(row[0]) % 4] and row[4] == str(1 + int(row[0]) % 5) for row in rows)
print(f"strict: {strict} of 400 rows right")
sys.exit(0 if right < 400 and strict == 400 else "changed: lenient reading gets this file right now, or strict reading does not")
PY
"$place/venv/bin/python" "$place/show.py" "$place"
