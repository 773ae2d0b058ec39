"""A release: files whose bytes follow from the commit and the lock files alone, whoever builds them, and when."""
