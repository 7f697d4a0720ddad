"""Top-k for everybody: from factors to Parquet, beside the bare matrix product and implicit's `recommend` on the same factors.

    python -m tests.benchmarks.bench_topk [--customers 20000 100000] [--products 100000]

Two kinds of factors of length 64: `als`, which implicit learned from a made shop whose products are wanted by a power law, and `gaussian`,
in which no vector is much longer than another, so that none can be skipped. Everybody gets 50 products without the 20 that were seen. Each
measurement is a process of its own that reads factors from files, a block of customers at a time; its peak memory is what it took beyond
its libraries and the products' factors. The bare product is float32 in blocks of 1,000 customers, written over and over into the same
memory; it and implicit are asked for the first number of customers alone.

Lists are compared with implicit's. Where they differ, the difference of the exact scores at that place says whether more than the rounding
of float32 is behind it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
import torch

from ml.recommend.ranking.inner_products import InnerProducts
from ml.recommend.ranking.scoring import within

CHECKOUT = Path(__file__).resolve().parents[2]
FACTORS, SEEN, K, BLOCK = 64, 20, 50, 20_000
THREADS = os.cpu_count() or 1
# implicit wants its BLAS to have one thread; torch is told by a call of its own
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
LISTS = pa.schema(
    [
        ("customer_id", pa.dictionary(pa.int32(), pa.string())),
        ("rank", pa.int32()),
        ("product_id", pa.dictionary(pa.int32(), pa.string())),
        ("score", pa.float32()),
    ]
)


def make_factors(kind: str, folder: Path, customers: int, products: int) -> None:
    """customers.f32, products.f32 and seen.i32 (SEEN ascending product numbers a customer) as plain arrays."""
    rng = np.random.default_rng(20)
    taste, kinds = rng.integers(0, 50, customers), np.argsort(rng.random(products))
    place = (products / 50 * rng.random((customers, SEEN), np.float32) ** 3).astype(np.int64)  # few products are wanted by many
    anywhere = rng.random((customers, SEEN), np.float32) < 0.3
    seen = kinds[np.where(anywhere, place * 50 + rng.integers(0, 50, place.shape), place * 50 + taste[:, None]) % products]
    seen.sort(axis=1)
    seen.astype(np.int32).tofile(folder / "seen.i32")
    if kind == "als":
        from implicit.cpu.als import AlternatingLeastSquares

        wanted = sp.csr_matrix((np.ones(seen.size, np.float32), seen.ravel(), np.arange(customers + 1) * SEEN), (customers, products))
        wanted.sum_duplicates()
        model = AlternatingLeastSquares(FACTORS, iterations=5, random_state=20, num_threads=THREADS)
        model.fit(wanted, show_progress=False)
        model.user_factors.tofile(folder / "customers.f32")
        model.item_factors.tofile(folder / "products.f32")
        return
    for name, rows in (("customers", customers), ("products", products)):
        rng.standard_normal((rows, FACTORS), np.float32).tofile(folder / f"{name}.f32")


def blocks(folder: Path, customers: int, size: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(first customer, (n, FACTORS) factors, (n, SEEN) seen) of every block."""
    for begin in range(0, customers, size):
        rows = min(size, customers - begin)
        factors = np.fromfile(folder / "customers.f32", np.float32, rows * FACTORS, offset=4 * begin * FACTORS)
        seen = np.fromfile(folder / "seen.i32", np.int32, rows * SEEN, offset=4 * begin * SEEN)
        yield begin, factors.reshape(rows, FACTORS), seen.reshape(rows, SEEN)


def bare_product(folder: Path, customers: int, products: np.ndarray) -> None:
    size = 1_000
    room, catalogue = torch.empty(size, len(products)), torch.from_numpy(products)
    for _, factors, _ in blocks(folder, customers, size):
        torch.mm(torch.from_numpy(factors), catalogue.T, out=room[: len(factors)])


def ours(folder: Path, customers: int, products: np.ndarray) -> None:
    """The lists as a table of strings, in the order of customer and rank."""
    search = InnerProducts(products, THREADS)
    numbers = pa.array(np.arange(len(products)))
    ids = pa.compute.binary_join_element_wise("p", numbers.cast(pa.string()), "")
    with pq.ParquetWriter(
        folder / "lists.parquet", LISTS, compression="zstd", use_dictionary=["customer_id", "rank", "product_id"]
    ) as writer:
        for begin, factors, seen in blocks(folder, customers, BLOCK):
            pairs = np.repeat(np.arange(len(seen)), SEEN), seen.ravel().astype(np.int64)
            found, scores = search.best(factors, K, within(pairs, 0, len(seen)))
            row, place = np.nonzero(found >= 0)
            people = pa.compute.binary_join_element_wise("c", pa.array(np.arange(begin, begin + len(seen))).cast(pa.string()), "")
            batch = [
                pa.DictionaryArray.from_arrays(pa.array(row, pa.int32()), people),
                pa.array(place + 1, pa.int32()),
                pa.DictionaryArray.from_arrays(pa.array(found[row, place], pa.int32()), ids),
                pa.array(scores[row, place]),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(batch, schema=LISTS))


def implicit_recommend(folder: Path, customers: int, products: np.ndarray) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(FACTORS, num_threads=THREADS)
    model.item_factors = products
    lists = []
    for begin, factors, seen in blocks(folder, customers, BLOCK):
        del begin
        model.user_factors = factors
        wanted = sp.csr_matrix((np.ones(seen.size, np.float32), seen.ravel(), np.arange(len(seen) + 1) * SEEN), (len(seen), len(products)))
        lists.append(model.recommend(np.arange(len(seen)), wanted, N=K)[0])
    np.save(folder / "implicit.npy", np.concatenate(lists))


WAYS = {"product": bare_product, "ours": ours, "implicit": implicit_recommend}


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def timed(way: str, folder: Path, customers: int) -> dict[str, float]:
    """What one way took, measured in this process."""
    torch.set_num_threads(THREADS)
    products = np.fromfile(folder / "products.f32", np.float32).reshape(-1, FACTORS)
    before, began = peak_mb(), time.perf_counter()
    WAYS[way](folder, customers, products)
    return {"seconds": time.perf_counter() - began, "peak_mb": peak_mb() - before}


def apart(way: str, folder: Path, customers: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.bench_topk", "--way", way, "--folder", str(folder), "--customers", str(customers)]
    done = subprocess.run(command, cwd=CHECKOUT, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def sameness(folder: Path, customers: int, products: np.ndarray) -> tuple[float, float]:
    """The share of lists that are implicit's product by product, and the greatest difference of exact scores, as a share of the score."""
    table = pq.read_table(folder / "lists.parquet", columns=["product_id", "rank"]).slice(0, customers * K).combine_chunks()
    named = table["product_id"].cast(pa.string())
    mine = pa.compute.utf8_slice_codeunits(named, 1).cast(pa.int64()).to_numpy().reshape(customers, K)
    theirs = np.load(folder / "implicit.npy")
    row, place = np.nonzero(mine != theirs)
    factors = np.concatenate([factors for _, factors, _ in blocks(folder, customers, BLOCK)])[row].astype(np.float64)
    a, b = (np.einsum("ij,ij->i", factors, products[lists[row, place]].astype(np.float64)) for lists in (mine, theirs))
    return float((mine == theirs).all(1).mean()), float((np.abs(a - b) / a).max(initial=0))


def measure(kind: str, counts: list[int], products: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, few = Path(place), counts[0]
        make_factors(kind, folder, max(counts), products)
        catalogue = np.fromfile(folder / "products.f32", np.float32).reshape(-1, FACTORS)
        length = np.sort(np.linalg.norm(catalogue, axis=1))
        print(f"{kind}: the longest product vector is {length[-1] / length[len(length) // 2]:.1f} times the median one")
        product, implicit = (apart(way, folder, few) for way in ("product", "implicit"))
        print(f"{kind}, {few:,} customers: bare product {product['seconds']:.1f} s; implicit {implicit['seconds']:.1f} s")
        for customers in counts:
            mine, share = apart("ours", folder, customers), customers / few
            to_product, to_implicit = mine["seconds"] / share / product["seconds"], implicit["seconds"] * share / mine["seconds"]
            print(f"{kind}, {customers:,} customers, to Parquet: {mine['seconds']:.1f} s, peak {mine['peak_mb']:.0f} MB")
            print(f"    {to_product:.2f} times the bare product; implicit takes {to_implicit:.2f} times as long", flush=True)
        same, apart_by = sameness(folder, few, catalogue)
        print(f"    {same:.2%} of the lists are implicit's, the others' scores differ by {apart_by:.1e} of the score at most", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="+", choices=["als", "gaussian"], default=["als", "gaussian"])
    parser.add_argument("--way", choices=[*WAYS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(timed(asked.way, asked.folder, asked.customers[0])))
        return 0
    for kind in asked.kinds:
        measure(kind, asked.customers, asked.products)
    return 0


if __name__ == "__main__":
    sys.exit(main())
