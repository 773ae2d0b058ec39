"""What is refused, or warned of, before an object is stored: the rules that no schema can say, because they are about
several objects. Pure: `review` looks at one request and at what the store knows.

It is the polite door, not the exact one: two requests at the same moment do not see each other. What must never
happen is kept from happening by the API server's quota and by the reconciler. So only what makes things worse is
refused: whoever changes a label of something that is in a bad state already must not be kept from it.
"""

from mcs_operator.domain.admission.known import Cluster, Object
from mcs_operator.domain.admission.review import WARNING_LIMIT, Answer, Operation, Request, review, unwatched

__all__ = ["WARNING_LIMIT", "Answer", "Cluster", "Object", "Operation", "Request", "review", "unwatched"]
