"""Measure what the artifact promises about speed and memory; random data, nothing is downloaded.

    python reproduce/bench.py --quick               small sizes, seconds
    python reproduce/bench.py --only retrieval      a million candidates against 15,000 queries at 768 dimensions

retrieval: exact top 20 by ``xlt.evaluation.retrieval.nearest`` (Mewsli-X at full size) against the bare matrix product
in tiles of the same size. Promised: under 8 GB, and at most 1.5 times the time of the product.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# In place of this script's own folder, where tabulate.py would hide the package tabulate.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "src")

from xlt.artifacts import peak_memory_bytes, to_json, write_atomic
from xlt.errors import InputError, exit_status

FULL = {"candidates": 1_000_000, "queries": 15_000, "width": 768}
QUICK = {"candidates": 20_000, "queries": 400, "width": 768}
DEPTH = 20
LARGEST_BYTES, LARGEST_RATIO = 8e9, 1.5


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["retrieval"], default=None, help="one part (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes; promises about time are not checked")
    parser.add_argument("--candidates", type=int, help="retrieval: instead of the size's number")
    parser.add_argument("--queries", type=int, help="retrieval: instead of the size's number")
    parser.add_argument("--threads", type=int, default=1, help="threads of the matrix product (default: 1)")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of the processor, all threads together."""
    clock, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - clock, time.process_time() - cpu


def retrieval(candidates: int, queries: int, width: int) -> dict[str, Any]:
    """Seconds of the bare product and of the whole search, on the clock and of the processor, and the peak memory.

    The ratio is that of processor time: on a machine that others use too, the clock says little.
    """
    import numpy as np

    from xlt.evaluation.retrieval import nearest, tile_shape

    rng = np.random.default_rng(0)
    pool = rng.standard_normal((candidates, width), dtype=np.float32)
    wanted = rng.standard_normal((queries, width), dtype=np.float32)
    for side in (pool, wanted):
        side /= np.sqrt(np.einsum("ij,ij->i", side, side))[:, None]
    rows, columns = tile_shape(candidates)
    wanted[:rows] @ pool[:columns].T  # the library starts its threads

    def product() -> None:
        for start in range(0, queries, rows):
            for first in range(0, candidates, columns):
                wanted[start : start + rows] @ pool[first : first + columns].T

    (product_clock, product_cpu), (search_clock, search_cpu) = (
        timed(product),
        timed(lambda: nearest(wanted, pool, DEPTH)),
    )
    return {
        "candidates": candidates,
        "queries": queries,
        "width": width,
        "product_seconds": round(product_clock, 4),
        "search_seconds": round(search_clock, 4),
        "product_cpu_seconds": round(product_cpu, 4),
        "search_cpu_seconds": round(search_cpu, 4),
        "ratio": round(search_cpu / product_cpu, 3),
        "peak_bytes": peak_memory_bytes(),
    }


def main() -> None:
    """Measure, print, and fail when a promise is not kept."""
    options = arguments()
    import os

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    size = dict(QUICK if options.quick else FULL)
    for key in ("candidates", "queries"):
        size[key] = getattr(options, key) or size[key]
    found = retrieval(**size)
    print(
        f"retrieval: {found['queries']:,} queries against {found['candidates']:,} candidates of width {found['width']}: "
        f"product {found['product_cpu_seconds']:.2f} s, search {found['search_cpu_seconds']:.2f} s of processor time, "
        f"ratio {found['ratio']} ({found['product_seconds']:.2f} s and {found['search_seconds']:.2f} s on the clock), "
        f"peak memory {found['peak_bytes'] / 1e9:.2f} GB, {options.threads} threads"
    )
    if options.output:
        write_atomic(options.output, to_json({"retrieval": found, "threads": options.threads}))
    if found["peak_bytes"] > LARGEST_BYTES:
        raise InputError(
            f"expected a peak of at most {LARGEST_BYTES / 1e9:.0f} GB, got {found['peak_bytes'] / 1e9:.2f}"
        )
    if not options.quick and found["ratio"] > LARGEST_RATIO:
        raise InputError(f"expected at most {LARGEST_RATIO} times the bare product, got {found['ratio']}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
