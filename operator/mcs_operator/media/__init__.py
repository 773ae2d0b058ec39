"""WHAT WE ASK THE POD: the operator's clients of the link agents."""
