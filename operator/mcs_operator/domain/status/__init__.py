"""Status: what every object of a namespace is told, as pure data.

Conditions come from the closed table; `Ready` of a link is Accepted and Programmed, never Connected, because a GitOps
pipeline must not hang on a TVox that is not installed yet; `Ready` of an instance is the media container's.
"""

from mcs_operator.domain.status.namespace import all_statuses
from mcs_operator.domain.status.wanted import Wanted

__all__ = ["Wanted", "all_statuses"]
