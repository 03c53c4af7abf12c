"""How long exact KNN-Shapley values of 25,000 training rows on 10,000 validation rows take, and how much memory.

Run it as ``python benchmarks/knn_shapley.py``; it fails above 60 s or 2 GB.
"""

import argparse
import resource
import sys
import time
from collections.abc import Sequence

import torch
from threadpoolctl import threadpool_limits

from amulet_plugins_builtin.poisoning.knn_shapley import knn_shapley

SECONDS, GIGABYTES = 60.0, 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Print seconds, peak memory and the defect of the values' sum; return 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=25_000, help="training rows")
    parser.add_argument("--val", type=int, default=10_000, help="validation rows")
    parser.add_argument("--features", type=int, default=784, help="features of a row")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch and BLAS")
    sizes = parser.parse_args(argv)
    torch.set_num_threads(sizes.threads)
    draws = torch.Generator().manual_seed(0)
    x, val_x = (torch.rand(n, sizes.features, generator=draws) for n in (sizes.rows, sizes.val))
    y, val_y = (torch.randint(0, 10, (n,), generator=draws) for n in (sizes.rows, sizes.val))
    with threadpool_limits(sizes.threads):
        start = time.perf_counter()
        values = knn_shapley(x, y, val_x, val_y, neighbours=5)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{sizes.rows:,} x {sizes.val:,} rows of {sizes.features} features, {sizes.threads} threads:")
    print(f"{seconds:.1f} s (limit {SECONDS:g} s), peak memory of the process {peak:.2f} GB (limit {GIGABYTES:g} GB)")
    print(f"sum of the values {values.sum():.6f}: the accuracy of the nearest neighbours, by chance .1")
    return int(seconds > SECONDS or peak > GIGABYTES)


if __name__ == "__main__":
    sys.exit(main())
