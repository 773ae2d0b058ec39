"""What the tests of all levels share: a client of the API server, the operator's process, builders, sites, probes."""
