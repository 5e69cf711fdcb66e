"""Make the project's Python environments from its hash-pinned lists: `python -m tools.setup NAME…`.

Standard library only, because it runs before anything is installed. ADR 18 gives the reasons for
its design.
"""
