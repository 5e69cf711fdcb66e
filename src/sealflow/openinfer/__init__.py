"""Core: the Open Inference Protocol (KServe V2), as values, JSON and binary form."""
