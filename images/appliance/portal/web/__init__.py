"""WHAT BROWSERS ASK. door.py is passed by every request; the other modules have one part of the API each."""
