"""The stand-in media appliance: HAProxy, and a supervisor that feeds it at run time.

config (with pem) reads and verifies what the operator mounted; haproxy starts HAProxy and speaks its runtime API; trial
says whether a browser would take a certificate; limits says how much of the public ports anybody may have; contract
answers the operator's questions over HTTP; supervisor ties them together. Standard library only: the image holds
Debian's python3 and nothing else.
"""
