"""What the operator knows of the cluster, and the only code that writes to it.

Watches, lists, and what the API server answered to reads and writes are handed to the methods of `store.Store`; all
others only read. What others wrote is taken in by `kube.parse`.
"""
