"""The API server of the small cluster: HTTP, kinds, access and objects in memory.

It speaks what helm, kubectl and Flink send: JSON, protobuf and SPDY.
"""
