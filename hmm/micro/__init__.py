"""The cell problem: RVE, constraints, Newton, solvers.

May import cells, models, laws and the foundation, and knows nothing of the macro problem. Begin with `rve`, the facade
that the user holds, then `definition` (what the user said), `cell_forms`, `system` and `algorithms` in this order: each
is built whole before it is handed on. Linear solvers are in `solvers`.
"""
