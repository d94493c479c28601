"""Verification: answers of `hmm` beside those of closed forms, series and other codes.

A case is a function with a decorator: it computes numbers with `hmm` and returns them beside their references
(`cases`). The modules `exact`, `arrays`, `composites` and `published` contain the cases, `series` the references that
are computed here; reference numbers that tests use too stand in tests/support. `running` runs the cases, `page` writes
docs/verification.md, and `command` is ``python benchmarks verify``.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
