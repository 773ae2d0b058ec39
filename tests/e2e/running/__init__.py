"""Tests that share one MCS and its first customer, from the first test to the last: others come, change and go, things
break, the pod restarts. A package, because pytest knows fixtures of a package's scope, and none of a folder's."""
