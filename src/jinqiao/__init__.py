"""Jinqiao (金桥): the open engine of a financial marketplace.

Each room is a library of its own: ``from jinqiao import match`` needs nothing of the rest.
Importing this package opens nothing and loads no heavy library.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
