"""Job files for ``hmm run``: FE2 from the shell.

`schema` declares the keys, `reading` checks a file, `building` makes the macro problem, `running` solves it, and
`script` writes the same as a program.
"""
