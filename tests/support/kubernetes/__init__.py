"""A small Kubernetes cluster for upstream's helm and kubectl, and for Flink.

The README beside this file says what it can do and what it lacks.
"""
