"""The pages: server-rendered, both languages, usable without a script.

In: a request. Out: HTML with strict headers. Always: a page translates a view record of
``flow.pages`` and decides nothing; who asks is known from a signed cookie alone; every POST carries
a token of its session.
"""

from jinqiao.faces.web.routes import mount

__all__ = ["mount"]
