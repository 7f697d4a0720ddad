"""Reviews as they are read from a snapshot: cleaned, and sampled where there are many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml.text.reviews import count_seen, first_labelled, read_labelled, share_out
from tests.ml.text.review_snapshot import review, write

READ: dict[str, Any] = {"max_chars": 512, "threads": 1, "seed": 20}


def test_text_is_cleaned_before_it_is_read(tmp_path: Path) -> None:
    features = write(tmp_path, [review(1, "\x00a\u202eb\n\n c" + "d" * 1000, "positive", "train")])
    assert read_labelled(features, ["train"], max_chars=9, threads=1, seed=1).texts == ["a b cd"]


def test_a_large_shop_is_sampled_by_class_and_by_age(tmp_path: Path) -> None:
    rows = [review(n, f"text {n}", "negative" if n % 10 == 0 else "positive", "train") for n in range(200)]
    for number, row in enumerate(rows):
        row["reviewed_at"] = f"2026-01-01 00:{number // 60:02d}:{number % 60:02d}"
    features = write(tmp_path, rows)
    sample = read_labelled(features, ["train"], limit=40, **READ)
    assert sample.class_counts.tolist() == [10, 0, 30]
    ids = sample.keys["review_id"].to_pylist()
    newest = [row["review_id"] for row in rows if row["label"] == "positive"][-15:]
    assert set(newest) <= set(ids) and ids == sorted(ids)
    assert read_labelled(features, ["train"], limit=40, **READ).keys.equals(sample.keys)
    rest = read_labelled(features, ["train"], seen=sample.keys, **READ)
    again = read_labelled(features, ["train"], seen=sample.keys, only_seen=True, **READ)
    assert len(rest) == 160 and again.keys.equals(sample.keys)


def test_what_was_seen_of_other_days_is_counted(tmp_path: Path) -> None:
    splits = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    features = write(tmp_path, [review(n, f"text {n}", "positive", split) for n, split in enumerate(splits)])
    seen = read_labelled(features, ["train", "validation"], **READ).keys
    assert (count_seen(features, ["test"], seen), count_seen(features, ["validation", "test"], seen)) == (0, 2)
    moved = write(tmp_path / "moved", [review(n, f"new text {n}", "positive", "test" if n > 4 else "train") for n in range(10)])
    assert count_seen(moved, ["validation", "test"], seen) == 3, "an edited text is the same review"
    assert str(first_labelled(moved, "test")) == "2026-01-06 05:00:00" and first_labelled(moved, "validation") is None


def test_shares_fill_up() -> None:
    assert share_out({"negative": 3, "neutral": 4, "positive": 5}, 100) == {"negative": 3, "neutral": 4, "positive": 5}
    shares = share_out({"negative": 100, "neutral": 0, "positive": 10_000}, 1_000)
    assert shares == {"negative": 91, "neutral": 0, "positive": 909}
    assert share_out({"negative": 2, "neutral": 10_000, "positive": 10_000}, 100) == {"negative": 1, "neutral": 50, "positive": 49}
