"""A shop that writes the store contract's own tables: no mapping, the files are collected as they lie.

One folder a table, any number of files in it; or one file a table:

    shop/
      products/2026-11-23.csv
      events/2026-11-22.jsonl.gz
      events/2026-11-23.jsonl.gz
      reviews.parquet

* Tables and columns: dbt_project/models/sources.yml. Only products and one of orders, events or reviews must be there.
* CSV (comma, semicolon, tab or bar; a header; UTF-8), JSON lines (or one array of objects), Parquet; each gzip (.gz) or not.
* Column names in any case and order; unknown ones are noted and left out; an empty value is a missing one.
* Times: ISO 8601 with or without zone (UTC where there is none), a date, digits shaped like a calendar, or unix time.
* What lies there as it did is not read again: leave files there, add new ones. A row sent again is a duplicate; the same key with
  other content is a newer version, from its updated_at on (from the night that collects it where that is missing).
* docs/shop_data.md says how quotes, words for nothing, zero dates and rows that go away are read.
* What breaks the contract goes to quarantine with file, row number, column, value and reason, and the rest is taken.

`make check-source DATA=shop` (include/sources/check.py) says beforehand what would be refused and why, without changing anything.
"""
