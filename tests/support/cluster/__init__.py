"""Real processes of a cluster: `sealflow up`, engines, gateways, scripted workers, and clients.

A published service, as a client sees it without any process, lies here too.
"""
