"""Run README's commands as a new user in a fresh minimal system: `python -m tools.newcomer`.

Standard library only. Needs root to make the systems; runs the commands as an ordinary user.
"""
