"""Errors, tensors, compiled forms and files.

May import nothing of `hmm`. Begin with `errors` (errors that all ranks raise together), then `tensors` (packing of
strains and stresses) and `forms` (compilation of UFL).
"""
