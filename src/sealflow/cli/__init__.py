"""The command line: options in, one call, text out; exit codes come from errors.

Its words: command, option, connection. May import everything but `trusted`.
"""
