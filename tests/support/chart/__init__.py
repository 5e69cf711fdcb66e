"""The Helm chart: rendered, checked against schemas, and installed on a small cluster.

The chart's Flink pods as plain processes and the commands of its guide lie here too.
"""
