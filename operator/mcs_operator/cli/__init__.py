"""`kubectl mcs`: what a person does to an MCS by hand, as a kubectl plugin.

kubectl finds any program on the PATH that is called ``kubectl-mcs``; it also runs as it is. It uses the rights of the
person who calls it and asks nothing of the operator but what every user may: objects, their status, annotations.
"""
