"""Sweeps: a job for many values of its keys.

Each variant is a process of its own with its own directory; an interrupted sweep continues. May import jobs and below.
Begin with `variation`, then `sweep` and `running`.
"""

from hmm.sweeps.running import run_sweep
from hmm.sweeps.slurm import write_slurm_script
from hmm.sweeps.sweep import Sweep, SweepResult, Variant
from hmm.sweeps.variation import SweepAxis

__all__ = ["Sweep", "SweepAxis", "SweepResult", "Variant", "run_sweep", "write_slurm_script"]
