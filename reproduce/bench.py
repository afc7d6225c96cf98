"""Measure speed and memory beside what people use today and beside the limit; nothing is downloaded (docs/performance.md).

    python reproduce/bench.py --quick               small sizes, a minute: that everything runs and agrees
    python reproduce/bench.py --only retrieval      one part; --candidates and --queries change its size
    python reproduce/bench.py --data DATA --encoder FOLDER
                                                    lengths and texts of real files instead of recorded lengths

Exit status: 0 when all that is promised was kept, 1 when something was missed, 2 when a part failed. A quick bench promises
nothing about time.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from xlt.bench.settings import Bench, BenchConfig
from xlt.bench.whole import MODULES, add_hours, load, measure, missed, run_part, summary
from xlt.config.benchmark import load_yaml, parse
from xlt.errors import InputError, exit_status
from xlt.files import SOURCE_ROOT, to_json, write_atomic
from xlt.layout import PREPARED
from xlt.options import count

CONFIG = SOURCE_ROOT / "configs" / "bench.yaml"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(MODULES), default=list(MODULES), help="parts (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes; promises about time are not checked")
    parser.add_argument("--candidates", type=int, help="retrieval: instead of the size's number")
    parser.add_argument("--queries", type=int, help="retrieval: instead of the size's number")
    parser.add_argument("--threads", type=count("--threads"), default=1, help="threads of every part (default: 1)")
    parser.add_argument("--data", type=Path, help="a data folder, with --encoder: count lengths there")
    parser.add_argument("--encoder", type=Path, help="a prepared encoder, for its tokenizer")
    parser.add_argument("--output", type=Path, help="write the figures as JSON, and beside it as Markdown")
    parser.add_argument("--part", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def make_bench(options: argparse.Namespace) -> Bench:
    """What is measured."""
    if (options.data is None) != (options.encoder is None):
        raise InputError("expected both --data and --encoder, or neither")
    if options.encoder is not None and not (options.encoder / PREPARED).exists():
        raise InputError("expected a prepared encoder; run reproduce/prepare_model.py", options.encoder)
    config = parse(BenchConfig, load_yaml(CONFIG), CONFIG)
    given = {key: getattr(options, key) for key in ("candidates", "queries") if getattr(options, key) is not None}
    for key, value in given.items():
        if value < 1:
            raise InputError(f"--{key}: expected at least 1, got {value}")
    sizes = config.sizes["quick" if options.quick else "full"]
    sizes = sizes | {"retrieval": sizes["retrieval"].model_copy(update=given)}
    return Bench(config, sizes, options.quick, options.threads, options.data, options.encoder)


def main() -> int:
    """Measure, write, print, and say what was missed."""
    options = arguments()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    os.environ.update(TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error")
    bench = make_bench(options)
    if options.part:
        name, output = options.part
        write_atomic(Path(output), to_json(measure(name, bench).as_json()))
        return 0
    from xlt.bench.page import page

    before, parts = load(), {}
    for name in options.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, *sys.argv[1:], "--part", name]
        parts[name] = run_part(command, bench.config.given_up_after)
    if not bench.quick:
        add_hours(parts)
    found = summary(bench, parts, before)
    text = page(found)
    if options.output:
        write_atomic(options.output, to_json(found))
        write_atomic(options.output.with_suffix(".md"), text)
    print(text)
    failed = [f"{name}: {part['failed']}" for name, part in parts.items() if "failed" in part]
    if failed:
        raise InputError("; ".join(failed))
    for line in missed(parts):
        print(f"missed: {line}", file=sys.stderr)
    return int(bool(missed(parts)))


if __name__ == "__main__":
    sys.exit(exit_status(main))
