"""WHAT IS SAID between operator, link agent, slots and appliance: wire formats, shared by both ends."""
