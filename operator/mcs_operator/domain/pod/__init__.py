"""WHAT BECOMES OF THE POD: its resources, its restarts, and when it is woken."""
