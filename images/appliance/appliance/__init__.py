"""The reference appliance's supervisor: it starts HAProxy and the parts for calls, and feeds them at run time.

config (with documents, pem and people) reads and verifies what the operator mounted; haproxy starts HAProxy and speaks
its runtime API; trial says whether a browser would take a certificate; limits says how much of the public ports anybody
may have; parts starts programs of our own, media says which and how, handover writes what they are told, talk asks them
what is going on; contract and report answer the operator over HTTP; settings are what the environment says; supervisor
ties them together. All of it is of the standard library.
"""
