"""Try README's commands as a new user, in a fresh minimal system: `python -m tools.newcomer`.

Standard library only. Needs root, for the fresh systems; the commands are run without it.
"""
