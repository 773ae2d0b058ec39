"""The stand-in media appliance: HAProxy, and a supervisor that feeds it at run time.

config reads and verifies what the operator mounted; haproxy starts HAProxy and speaks its runtime API; contract answers
the operator's questions over HTTP; supervisor ties them together. Standard library only: the image holds Debian's
python3 and nothing else.
"""
