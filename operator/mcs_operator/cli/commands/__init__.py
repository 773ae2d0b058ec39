"""What can be typed after `kubectl mcs`: arguments, options and help of each command, and in which steps it is done.

Imports of what the steps need are inside of the commands: all modules here are loaded for ``--help`` and completion.
"""
