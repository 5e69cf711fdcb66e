"""Parts of a machine: files of /proc and /sys, process memory, environments, container images.

Each is read or built apart from the machine's own.
"""
