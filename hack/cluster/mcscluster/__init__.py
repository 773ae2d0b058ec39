"""A real Kubernetes cluster on this machine, for development and tests: kind where Docker runs, else our own node."""
