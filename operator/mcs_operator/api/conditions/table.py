"""The closed table of conditions: kind x condition x status x reason, and what brings each about.

Conditions follow kstatus (Ready, and the abnormal-true Reconciling and Stalled) and the Gateway API (Accepted,
Programmed). A condition that is not in the table cannot be written: `as_objects` raises.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcs_operator.api.conditions.reasons import Kind, Type
from mcs_operator.api.conditions.rows import F, R, Row, T, U, certificate_ready, domain_resolved, in_service, rows

_EVERY_KIND = [
    row
    for kind in Kind
    for row in (
        *rows(kind, Type.READY, (U, R.PENDING, "The operator has not seen this generation of the object yet.")),
        *rows(
            kind,
            Type.RECONCILING,
            (T, R.PROGRESSING, "The operator, the node or another object has still something to do."),
            (F, R.RECONCILED, "The world is as declared, or only a change by the user gets it there."),
        ),
        *rows(kind, Type.STALLED, (F, R.NOT_STALLED, "Nothing waits for the user.")),
        *rows(
            kind,
            Type.ACCEPTED,
            (T, R.ACCEPTED, "The object is valid and is served."),
            (F, R.INVALID_SPEC, "The stored object does not fit the schema of this operator's version."),
        ),
        *rows(
            kind,
            Type.STALLED,
            (T, R.INVALID_SPEC, "As Accepted=False, InvalidSpec."),
            (
                T,
                R.RECONCILE_FAILED,
                "The operator fails at this object, or at its namespace; the message says where. What runs goes on.",
            ),
        ),
        *rows(kind, Type.READY, (F, R.INVALID_SPEC, "As Accepted=False, InvalidSpec.")),
    )
]

_MAY_STILL_COME = "for less than two minutes: it may still come, from the same commit for example."

_INSTANCE = [
    *rows(
        Kind.INSTANCE,
        Type.ACCEPTED,
        (F, R.NAMESPACE_OCCUPIED, "Another MCSInstance has this namespace: one per namespace."),
    ),
    *rows(
        Kind.INSTANCE,
        Type.READY,
        (T, R.SERVING, "The media container is ready."),
        (T, R.OUT_OF_SERVICE, "The media container takes no new sessions, as spec.serviceState asks."),
        (T, R.SUSPENDED, "spec.suspend is true, and the pod is gone: stopped on purpose. All else is kept."),
        (F, R.MEDIA_NOT_READY, "The media container is not ready; the message says why."),
        (F, R.SLOTS_NOT_RUNNING, "As Stalled, and not one of the slots runs."),
        (U, R.AGENT_UNREACHABLE, "The link agent, by the kubelet's last word ready, has not answered for 30 s."),
        (F, R.NAMESPACE_OCCUPIED, "As Accepted."),
    ),
    *rows(
        Kind.INSTANCE,
        Type.RECONCILING,
        (T, R.CA_NOT_FOUND, f"As Stalled, {_MAY_STILL_COME}"),
        (T, R.PULL_SECRET_NOT_FOUND, f"As Stalled, {_MAY_STILL_COME}"),
        (T, R.CERTIFICATE_NOT_FOUND, f"As Stalled, {_MAY_STILL_COME}"),
    ),
    *rows(
        Kind.INSTANCE,
        Type.STALLED,
        (T, R.NAMESPACE_OCCUPIED, "As Accepted."),
        (
            T,
            R.IDENTITY_LOST,
            "The CA Secret is gone, unreadable or without its labels while identities signed by it exist.",
        ),
        (T, R.SLOTS_NOT_RUNNING, "The kubelet cannot pull the image of the slots, which the message names."),
        (T, R.ROLLED_BACK, "spec.image did not become ready; the image before it runs again. The message says why."),
        (T, R.NAME_TAKEN, "An object that the instance needs is there, and lacks labels that the message names."),
        (T, R.OBJECT_DAMAGED, "An object of the instance cannot be read; the message names it and says why."),
        (F, R.OBJECTS_IGNORED, "As NotStalled; objects with our label that are not ours (copies) are named, not used."),
        (T, R.PROFILES_DIFFER, "Kept profiles have another basePort, cidr or domain; they are served as they are."),
        (T, R.NETWORK_TAKEN, "spec.vpn.cidr is loopback or the like, or meets the cluster's; what runs goes on."),
        (T, R.CA_NOT_FOUND, "The Secret of vpn.caSecretRef is missing: nothing is signed, what is there goes on."),
        (T, R.CA_INVALID, "The CA cannot sign, or did not sign what is there; the message says why. As CaNotFound."),
        (T, R.PULL_SECRET_NOT_FOUND, "A Secret of spec.imagePullSecrets, or of the operator's, is missing here."),
        (T, R.WINDOW_INVALID, "A window of spec.disruptions cannot be used; the message says why. It never opens."),
        (T, R.CERTIFICATE_INVALID, "The certificate of spec.domain cannot be served; the last good one stays."),
        (T, R.CERTIFICATE_NOT_FOUND, "The Secret of tls.secretRef is missing; the last good certificate stays."),
        (T, R.DOMAIN_TAKEN, "spec.domain is an object's of another namespace that came first; what runs goes on."),
    ),
    *rows(
        Kind.INSTANCE,
        Type.SIZED,
        (T, R.AS_TIER, "The pod has the resources of its tier, or more."),
        (F, R.BELOW_TIER, "spec.resources is below the tier; the message names the difference."),
        (F, R.RESIZE_DEFERRED, "The node does not give another size now: it has no room, or fails. It tries on."),
        (
            F,
            R.RESIZE_INFEASIBLE,
            "The node will never have room for it; the media, and the next pod, keep what they have.",
        ),
        (
            F,
            R.RESIZE_FORBIDDEN,
            "A quota, a LimitRange or a policy forbids the size; the media, and the next pod, keep theirs.",
        ),
    ),
    *rows(
        Kind.INSTANCE,
        Type.RESTART_PENDING,
        (F, R.UP_TO_DATE, "The pod runs the current template."),
        (T, R.POD_OUTDATED, "The pod runs an older template; the message names the parts and how to restart."),
        (T, R.NO_NODE_FITS, "The pod's node is cordoned, and no other one would take the pod: it stays until forced."),
        (T, R.NODE_NOT_READY, "The pod's node is cordoned and does not answer: the pod cannot be drained."),
        (T, R.WAITING, "The pod, or its media container, is to be replaced and waits; the message says for what."),
        (T, R.PULLING, "The node pulls the media's next image; what runs goes on."),
        (
            T,
            R.IMAGE_NOT_PULLED,
            "The node cannot pull the media's next image, or one of a newer operator; what runs goes on.",
        ),
        (T, R.DRAINING, "It is to be replaced: the media drains until nobody talks, or drainSeconds are over."),
    ),
    *rows(
        Kind.INSTANCE,
        Type.CAPACITY_PRESSURE,
        (F, R.SUFFICIENT, "Less than 80 % of the slots are taken, and of the tier's users are there."),
        (T, R.NEARLY_FULL, "80 % or more of something; the message has the numbers and what to plan."),
        (T, R.ALMOST_FULL, "95 % or more of something."),
    ),
]


_INSTANCE += domain_resolved(Kind.INSTANCE, "spec.publicAddress for spec.domain")
_INSTANCE += in_service(Kind.INSTANCE, "; whether it can serve any, Ready says")
_INSTANCE += certificate_ready(
    Kind.INSTANCE,
    (
        F,
        R.ISSUER_NOT_READY,
        "The ACME server does not answer or take the account, or the account's key is missing: see the message.",
    ),
)

_COMMUNITY = [
    *rows(Kind.COMMUNITY, Type.ACCEPTED, (F, R.INSTANCE_NOT_FOUND, "spec.instanceRef names no accepted instance.")),
    *rows(
        Kind.COMMUNITY,
        Type.READY,
        (T, R.SERVED, "All enabled users are in the appliance's configuration."),
        (T, R.DISABLED, "spec.enabled is false: nobody of this community is served."),
        (F, R.INSTANCE_NOT_FOUND, "As Accepted."),
        (F, R.PENDING, "A part of its users could not be written; the message says why. What was served still is."),
        (F, R.USERS_INVALID, "A users file cannot be taken; the message names file, line, index and field, no user."),
        (F, R.USERS_NOT_FOUND, "A users file, or its key users.yaml, is missing."),
        (F, R.TIER_EXCEEDED, "Users beyond the tier are not served: how many, and where the first one is listed."),
        (F, R.COMMUNITY_LIMIT_EXCEEDED, "As TierExceeded, beyond spec.communityLimits.users of the instance."),
    ),
    *rows(
        Kind.COMMUNITY,
        Type.RECONCILING,
        (T, R.USERS_NOT_FOUND, f"As Ready, {_MAY_STILL_COME}"),
        (T, R.CERTIFICATE_NOT_FOUND, f"As Stalled, {_MAY_STILL_COME}"),
    ),
    *rows(
        Kind.COMMUNITY,
        Type.STALLED,
        (T, R.USERS_INVALID, "As Ready."),
        (T, R.USERS_NOT_FOUND, "As Ready, for two minutes and longer."),
        (T, R.TIER_EXCEEDED, "As Ready."),
        (T, R.COMMUNITY_LIMIT_EXCEEDED, "As Ready."),
        (T, R.DOMAIN_TAKEN, "spec.portalDomain is another object's; there is no portal, and all else is served."),
        (T, R.PASSWORDS_INVALID, "As LoginReady."),
        (T, R.CERTIFICATE_INVALID, "The certificate of spec.portalDomain cannot be served; the last good one stays."),
        (T, R.CERTIFICATE_NOT_FOUND, "The Secret of tls.secretRef is missing; the last good certificate stays."),
    ),
    *rows(
        Kind.COMMUNITY,
        Type.LOGIN_READY,
        (T, R.SERVED, "The appliance serves the portal; the message says where, and how many users can log in."),
        (F, R.NOT_CONFIGURED, "spec.portalDomain is not set: there is no portal. Nothing waits for one."),
        (F, R.NO_PASSWORDS, "No user that is served has a password, or spec.authentication is not set."),
        (F, R.PASSWORDS_NOT_FOUND, "A Secret with passwords, its label or its key .htpasswd, is missing."),
        (
            F,
            R.PASSWORDS_INVALID,
            "A Secret with passwords cannot be taken; the message names it and the line, no user.",
        ),
        (F, R.DOMAIN_TAKEN, "As Stalled."),
        (F, R.CERTIFICATE_NOT_FOUND, "No certificate covers spec.portalDomain: nobody logs in over plain HTTP."),
        (F, R.PENDING, "Declared, and the appliance does not serve it yet; or it could not be written."),
        (F, R.DISABLED, "spec.enabled is false."),
        (F, R.SUSPENDED, "spec.suspend of the instance is true."),
        (F, R.NOT_ACCEPTED, "Accepted is False."),
        (U, R.NOT_SUPPORTED, "The media image, or the pod's agent, knows no portal. Nothing waits for it."),
        (U, R.MEDIA_NOT_READY, "The appliance does not answer the link agent."),
        (U, R.AGENT_UNREACHABLE, "The link agent in the media pod does not answer."),
    ),
    *domain_resolved(Kind.COMMUNITY, "spec.publicAddress of the instance for spec.portalDomain"),
    *rows(Kind.COMMUNITY, Type.DOMAIN_RESOLVED, (U, R.NOT_CONFIGURED, "spec.portalDomain is not set: nobody asks.")),
]

_COMMUNITY += certificate_ready(Kind.COMMUNITY)

REFUSALS = {
    R.CAPACITY_EXCEEDED: "The instance serves 250 TVoxLinks already; this one takes over when a place frees up.",
    R.NO_FREE_SLOT: "The instance's spec.vpn.slots are taken; this one takes over when one frees up.",
    R.COMMUNITY_LIMIT_EXCEEDED: "Its Community has as many TVoxLinks as spec.communityLimits.links of the instance "
    "allows.",
    R.ADDRESS_TAKEN: "spec.vpnAddress is another link's, or is kept for a link that was deleted lately.",
    R.ADDRESS_OUT_OF_RANGE: "spec.vpnAddress is not .2 to .251 of the instance's spec.vpn.cidr, or is above its slots.",
    R.ADDRESS_IMMUTABLE: "spec.vpnAddress differs from the address that the link already has.",
    R.DOMAIN_TAKEN: "spec.domain is another link's, a portal's or the instance's own.",
    R.NAME_TAKEN: "A Secret that the link needs exists, and is not ours, or another instance's, or cannot be read.",
}
"""Why a link is not accepted, where only the user can change that."""

WAITING = {
    R.INSTANCE_NOT_FOUND: "spec.instanceRef names no accepted instance.",
    R.COMMUNITY_NOT_FOUND: "spec.communityRef names no Community. A link that holds a slot keeps it.",
    R.INSTANCE_MISMATCH: "The Community belongs to another instance. A link that holds a slot keeps it.",
}
"""Why a link is not accepted, where another object may still come."""

_LINK = [
    *rows(Kind.LINK, Type.ACCEPTED, *[(F, reason, text) for reason, text in (REFUSALS | WAITING).items()]),
    *rows(
        Kind.LINK,
        Type.PROGRAMMED,
        (T, R.PROGRAMMED, "The agent reports that the slot runs this revision."),
        (T, R.DISABLED, "spec.enabled is false, and the agent reports that the slot has stopped."),
        (T, R.REVOKED, "The TVox's certificate is revoked, and the agent reports that the slot has stopped."),
        (F, R.PENDING, "The slot has not taken this revision yet."),
        (F, R.QUARANTINED, "The slot refuses its Secret, or what it finds around it, and keeps the last good state."),
        (F, R.RECONCILE_FAILED, "The operator fails at the link's keys or files; the message says where."),
        (F, R.NO_FREE_SLOT, "It has a number, of a time with more slots, for which spec.vpn.slots has no place now."),
        (F, R.NOT_ACCEPTED, "Accepted is False."),
        (F, R.SUSPENDED, "spec.suspend of the instance is true: no slot runs."),
        (F, R.IDENTITY_LOST, "The instance has lost its CA: no identity can be made."),
        (F, R.CA_NOT_FOUND, "As Stalled of the instance: no identity can be made."),
        (F, R.CA_INVALID, "As Stalled of the instance: no identity can be made."),
        (U, R.AGENT_UNREACHABLE, "The link agent in the media pod does not answer."),
    ),
    *rows(
        Kind.LINK,
        Type.CONNECTED,
        (T, R.ESTABLISHED, "The tunnel is up."),
        (F, R.NEVER_CONNECTED, "No TVox has connected since the slot started."),
        (F, R.LOST, "The tunnel was up and is not; the message says since when."),
        (T, R.FLAPPING, "The tunnel is up, and was lost 3 times in 10 minutes."),
        (F, R.FLAPPING, "The tunnel is down, and was lost 3 times in 10 minutes."),
        (F, R.CERTIFICATE_EXPIRED, "The TVox's certificate has expired."),
        (F, R.AUTHENTICATION_FAILED, "A client presents a certificate that is not this link's."),
        (T, R.WRONG_PEER, "Two places use this link's profile by turns."),
        (F, R.WRONG_PEER, "Two places use this link's profile by turns."),
        (F, R.DISABLED, "spec.enabled is false."),
        (F, R.SUSPENDED, "spec.suspend of the instance is true."),
        (F, R.REVOKED, "The TVox's certificate is revoked; a new profile waits for `rotate`."),
        (F, R.PENDING, "The slot does not run yet."),
        (U, R.AGENT_UNREACHABLE, "The link agent in the media pod does not answer."),
    ),
    *rows(
        Kind.LINK,
        Type.READY,
        (T, R.PROGRAMMED, "Accepted and Programmed. Whether the TVox is connected is in Connected."),
        (T, R.OUT_OF_SERVICE, "As Programmed; new sessions are refused, as spec.serviceState asks."),
        (T, R.DISABLED, "Accepted, and stopped as spec.enabled asks."),
        (T, R.REVOKED, "Accepted, and stopped as the revocation asks."),
        (T, R.SUSPENDED, "Accepted, and stopped with its instance, as spec.suspend of that asks."),
        (F, R.PENDING, "As Programmed."),
        (F, R.QUARANTINED, "As Programmed."),
        (F, R.RECONCILE_FAILED, "As Programmed."),
        (F, R.NO_FREE_SLOT, "As Accepted or Programmed."),
        (F, R.IDENTITY_LOST, "As Programmed."),
        (F, R.CA_NOT_FOUND, "As Programmed."),
        (F, R.CA_INVALID, "As Programmed."),
        (U, R.AGENT_UNREACHABLE, "As Programmed."),
        *[(F, reason, "As Accepted.") for reason in REFUSALS | WAITING if reason is not R.NO_FREE_SLOT],
    ),
    *rows(Kind.LINK, Type.RECONCILING, (T, R.CERTIFICATE_NOT_FOUND, f"As Stalled, {_MAY_STILL_COME}")),
    *rows(
        Kind.LINK,
        Type.STALLED,
        (T, R.QUARANTINED, "As Programmed."),
        (T, R.NO_FREE_SLOT, "As Accepted or Programmed."),
        (
            T,
            R.PROFILE_LOST,
            "The profile Secret is gone, unreadable, without its labels, or an old one was put back.",
        ),
        (T, R.CERTIFICATE_INVALID, "The certificate of spec.domain cannot be served; the last good one stays."),
        (T, R.CERTIFICATE_NOT_FOUND, "The Secret of tls.secretRef is missing; the last good certificate stays."),
        *[(T, reason, "As Accepted.") for reason in REFUSALS if reason is not R.NO_FREE_SLOT],
    ),
    *rows(
        Kind.LINK,
        Type.ROTATION_PENDING,
        (F, R.UP_TO_DATE, "The TVox has the newest profile, or the link never had another one."),
        (T, R.NEW_NOT_SEEN, "The TVox has not shown its new certificate; the old one is accepted until the deadline."),
        (T, R.OLD_REFUSED, "The TVox has not shown its new certificate, and the old one is not accepted any more."),
        (F, R.REVOKED, "No certificate is accepted; a new profile waits for `rotate`."),
    ),
]

_LINK += domain_resolved(Kind.LINK, "spec.publicAddress of the instance for spec.domain")
_LINK += in_service(Kind.LINK, " for this link's own sake; the MCSInstance says the same of all")
_LINK += rows(
    Kind.LINK,
    Type.IN_SERVICE,
    (F, R.PENDING, "InService is declared, and the appliance still refuses new sessions."),
    (F, R.DISABLED, "spec.enabled is false: there are no sessions."),
    (U, R.NOT_CONFIRMED, "OutOfService is declared, and the media image, or the pod's agent, knows no such thing."),
)

_LINK += certificate_ready(Kind.LINK)

TABLE: tuple[Row, ...] = (*_EVERY_KIND, *_INSTANCE, *_COMMUNITY, *_LINK)

OWNED: Mapping[Kind, tuple[Type, ...]] = {
    kind: tuple(dict.fromkeys(row.type for row in TABLE if row.kind is kind)) for kind in Kind
}
"""Types that each kind always has, all of them, from the operator's first sight."""
