"""Runs: load steps, checkpoints, output, replay.

May import fe2, pictures and below. Begin with `load_steps`; `checkpoint` writes what `storage` keeps whole on the
disk, and `replay` solves again a point that failed.
"""
