"""The cell problem: RVE, constraints, Newton, solvers.

May import cells, models, laws and the foundation, and knows nothing of the macro problem. Begin with `rve`, the
facade for users, then `definition` (the arguments), `cell_forms`, `system` and `algorithms` in this order: each is
complete before the next one uses it. Linear solvers are in `solvers`.
"""
