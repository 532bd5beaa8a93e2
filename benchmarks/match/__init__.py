"""Benchmarks of ``jinqiao.match``: ``make bench-match``.

``instances`` makes problems by documented laws, ``peers`` solves the same ones with other people's
solvers, ``cases`` measures ours, ``table`` prints and writes. ``small`` is a table of its own.
"""
