"""Exact nearest neighbours against the bare matrix product."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from xlt.bench.measure import Measurement, Promise, in_turn, peak_resident_bytes, ratio
from xlt.bench.settings import Bench
from xlt.evaluation.nearest_neighbors import nearest, tile_shape


def unit_rows(number: int, width: int, seed: int) -> NDArray[np.float32]:
    """Random directions [number, width]."""
    rows = np.random.default_rng(seed).standard_normal((number, width), dtype=np.float32)
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows


def retrieval(bench: Bench) -> Measurement:
    """(e) The ``depth`` nearest of many candidates (Mewsli-X at full size), against the product in tiles of the same size."""
    size = bench.sizes["retrieval"]
    pool, queries = unit_rows(size.candidates, size.width, 0), unit_rows(size.queries, size.width, 1)
    rows, columns = tile_shape(size.candidates)
    queries[:rows] @ pool[:columns].T  # the library starts its threads
    scores: list[NDArray[np.float32]] = []

    def product(turn: int) -> None:
        for start in range(0, len(queries), rows):
            for first in range(0, len(pool), columns):
                queries[start : start + rows] @ pool[first : first + columns].T

    def search(turn: int) -> None:
        scores[:] = [nearest(queries, pool, size.depth)[1]]

    times = in_turn({"product": product, "search": search}, size)
    peak, most = peak_resident_bytes(), bench.config.targets["retrieval"]["bytes"]
    promised = bench.promised("retrieval", "ratio")
    promises = [
        ratio("search / bare product", times["search"], times["product"], "at most", promised),
        Promise("peak memory", peak, peak, peak, "at most", most, unit="bytes"),
    ]
    few = min(len(queries), math.ceil(1e7 / len(pool)))
    every = -np.sort(-(queries[:few] @ pool.T), axis=1)
    difference = float(np.abs(every[:, : size.depth] - scores[0][:few]).max())
    agreement = {"largest difference of scores from a sorted product": difference}
    figures = size.model_dump(include={"candidates", "queries", "width", "depth"}) | {"peak_bytes": peak}
    return Measurement("Retrieval", times, promises, agreement, figures)
