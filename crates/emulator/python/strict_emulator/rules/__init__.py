"""The strict rules, one module per subject. Importing them registers them.

Each rule is a small function whose docstring names the fact that it enforces.
"""

from . import acm  # noqa: F401
