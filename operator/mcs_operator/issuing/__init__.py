"""WHAT WE ORDER: certificates from an ACME server (RFC 8555), beside the reconciliation.

The only importer of `acme`, certbot's library, which is loaded with the first order.
"""
