"""The demo of `make demo`, told in `story.py`."""
