"""``python benchmarks [NAME ...]``: side-by-side measurements, as ratios.

Each comparison runs its jobs in turn, each in a process of its own on one core, and prints medians and ranges.
``python benchmarks verify`` compares answers with references, ``verify-peers`` with other codes (``--help``).
"""

from __future__ import annotations

import argparse
import re
import sys

from compare import COMPARISONS


def main() -> None:
    if sys.argv[1:2] == ["verify"]:
        from verification.command import main as verify

        sys.exit(verify(sys.argv[2:]))
    if sys.argv[1:2] == ["verify-peers"]:
        from verification.peers.comparing import main as verify_peers

        sys.exit(verify_peers(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(COMPARISONS)}; all by default")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side (default 3)")
    arguments = parser.parse_args()
    for name in arguments.names or COMPARISONS:
        if name not in COMPARISONS:
            sys.exit(f"benchmark {name!r} is unknown: choose of {', '.join(COMPARISONS)}")
        print(re.sub(r"\s+", " ", COMPARISONS[name].__doc__ or ""))
        COMPARISONS[name](arguments.repeats)


if __name__ == "__main__":
    main()
