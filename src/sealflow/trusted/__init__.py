"""What runs inside an enclave: worker and key broker, and the frame port that both share.

Its words: enclave, frame port, event, fatal. May import the core and `backoff`; no files, sockets,
environment, logs or clock, and nobody imports it.
"""
