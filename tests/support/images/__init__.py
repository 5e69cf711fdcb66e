"""Image files, honest and hostile, byte by byte."""
