"""The operator of TVox MCS: see operator/README.md for the architecture on one page."""
