"""CLI: the command line. Each command parses options, makes one call and prints the result.

Its words: command, option, connection. May import everything but `trusted`.
"""
