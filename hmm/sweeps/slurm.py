"""A sweep as an array of jobs of Slurm."""

from __future__ import annotations

import shlex
from pathlib import Path

from hmm.foundation.errors import InputError
from hmm.foundation.files import require_writable, write_atomically
from hmm.foundation.options import integer
from hmm.sweeps.sweep import Sweep

SCRIPT = "sweep.sbatch"

LARGEST_ARRAY = 1001
"""Usual limit of the size of an array (MaxArraySize of Slurm)."""


def write_slurm_script(sweep: Sweep, command: list[str], *, workers: int = 1) -> Path:
    """Write a script for ``sbatch`` that runs each variant as one task of an array.

    Parameters
    ----------
    sweep
        The sweep.
    command
        The words of the sweep's command, without options of Slurm: those after ``hmm``.
    workers
        Number of tasks at the same time.

    Returns
    -------
    pathlib.Path
        The script, in the directory of the sweep.

    Raises
    ------
    InputError
        If there are more variants than an array of Slurm usually has.
    """
    integer("workers", workers, 1)
    n = len(sweep.variants)
    if n >= LARGEST_ARRAY:
        raise InputError(f"an array of Slurm has at most {LARGEST_ARRAY - 1} tasks, but there are {n} variants")
    require_writable(sweep.directory)
    line = shlex.join(["hmm", *command])
    script = f"""#!/bin/bash
# Each task of the array computes one variant of {sweep.job.name}. Submit it from this directory:
#   sbatch {shlex.quote(str(sweep.directory / SCRIPT))}
# A task that fails or is requeued can be repeated; variants that are done are not computed again. Afterwards:
#   {line} --collect
#SBATCH --job-name={_plain(sweep.job.stem)}-sweep
#SBATCH --array=0-{n - 1}%{workers}
#SBATCH --ntasks={sweep.ranks}
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --output={_plain(str(sweep.directory))}/slurm-%a.txt
#SBATCH --requeue
set -eu
export OMP_NUM_THREADS=1
# activate the environment of hmm here, for example: source .venv/bin/activate
{line} --ranks {sweep.ranks} --only "$SLURM_ARRAY_TASK_ID"
"""
    path = sweep.directory / SCRIPT
    write_atomically(path, script)
    return path


def _plain(text: str) -> str:
    """A text without characters that would end a line of options."""
    return "".join(c if c.isalnum() or c in "._-/" else "_" for c in text)
