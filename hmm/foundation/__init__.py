"""Errors, tensors, compiled forms and files.

May import nothing of `hmm`. Begin with `errors`, which says how all ranks fail together, then `tensors` (how strains
and stresses are packed) and `forms` (UFL compiled once).
"""
