"""FE2: macro integration points, Homogenizer, MacroProblem.

May import parallel, micro and below. Begin with `homogenizer`, which evaluates the micro models at all integration
points, and `problem`, which solves the macro equations with their responses; `variation` distributes several models.
"""
