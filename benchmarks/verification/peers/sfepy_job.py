"""Run SfePy's solution: its package starts processes that import this file, so nothing is imported outside."""

if __name__ == "__main__":
    import sfepy
    from problem import main
    from sfepy.base.base import output
    from sfepy_cell import solve

    output.set_output(quiet=True)
    main(solve, f"SfePy {sfepy.__version__}")
