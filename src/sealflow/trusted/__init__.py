"""Code that runs inside an enclave: worker, key broker, and the frame port that both use.

Its words: enclave, frame port, event, fatal code. May import the core and `backoff`; never files,
sockets, environment variables, logs or a clock. No other zone imports it.
"""
