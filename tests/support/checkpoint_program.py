"""A small run with checkpoints, as its own program: `python checkpoint_program.py FILE [options]`."""

import hmm  # isort: skip

import os
import signal
from argparse import ArgumentParser
from pathlib import Path

from support.macro_tools import beam, composite

TARGETS = (-0.06, -0.02)


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--table", help="write the load and the reaction of each step to this file, line by line")
    parser.add_argument("--signal", help="send this signal to the last rank in the first step of the second part")
    parser.add_argument("--limit", type=float)
    options = parser.parse_args()
    body = beam(composite())
    comm = body.hom.comm
    for part, target in enumerate(TARGETS):
        for step in hmm.steps(body.problem, body.load, target, 4, checkpoint=options.file, max_wall_time=options.limit):
            reaction = body.problem.reaction(body.drive)
            if comm.rank == 0 and options.table:
                with Path(options.table).open("a") as table:
                    table.write(f"{part} {step.number} {reaction!r}\n")
            if options.signal and part == 1 and step.number == 1 and comm.rank == comm.size - 1:
                os.kill(os.getpid(), signal.Signals[options.signal])
    hmm.console.say(comm, "finished")


if __name__ == "__main__":
    hmm.errors.run(main)
