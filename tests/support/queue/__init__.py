"""The queue's server in a folder of its own, and its streams as the server holds them.

Requests by id through a client of the queue, and a connection that breaks, lie here too.
"""
