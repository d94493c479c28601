"""Sweeps: a job for many values of its keys.

Each variant is a process of its own with its own directory; an interrupted sweep continues. A server evaluates a job
for other programs. May import jobs and below. Begin with `variation`, then `sweep` and `running`, or `evaluation`.
"""

from hmm.sweeps.evaluation import JobFunction
from hmm.sweeps.running import run_sweep
from hmm.sweeps.server import JobServer
from hmm.sweeps.slurm import write_slurm_script
from hmm.sweeps.sweep import Sweep, SweepResult, Variant
from hmm.sweeps.variation import SweepAxis

__all__ = [
    "JobFunction",
    "JobServer",
    "Sweep",
    "SweepAxis",
    "SweepResult",
    "Variant",
    "run_sweep",
    "write_slurm_script",
]
