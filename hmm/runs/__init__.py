"""Runs: load steps, checkpoints, output, replay.

May import fe2, pictures and below. Begin with `load_steps`; `checkpoint` stores the state of a run
in a file (`storage`), and `replay` repeats a failed point.
"""
