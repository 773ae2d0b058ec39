"""WHAT IS KNOWN, frozen: the world as it was observed, and what it is made of."""
