"""A node of the small cluster: pods by podman, their network and their service accounts.

Controllers that make workloads ready without pods lie here too.
"""
