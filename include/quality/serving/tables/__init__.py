"""Checks that need several rows or other tables: one file a table of the release, found by its name."""
