"""Models, tensors and model packages, built in this process without an exporter.

Models that a worker has loaded, and requests for them, lie here too.
"""
