"""How vector files are read: each case with its inputs whole, and the code that came out of it.

The form of the files is said in tests/vectors/README.md.
"""
