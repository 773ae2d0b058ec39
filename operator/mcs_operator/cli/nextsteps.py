"""What is left to do for new customers, with the commands: names, profiles, users and passwords. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcs_operator.cli.customers import Customer, communities


def next_steps(customers: Sequence[Customer], namespace: str, domain: str) -> str:
    """For a person. ``domain``: the instance's; "" where it is not known."""
    to = f"{domain}." if domain else "<spec.domain of the MCSInstance>."
    option = f" --namespace={namespace}" if namespace else ""
    names = [name for one in customers for name in (one.text("domain"), one.text("portalDomain")) if name]
    width = max(map(len, names)) + 1
    return "\n".join(
        [
            "Left to do:",
            "",
            "DNS: these names lead to the MCS (condition DomainResolved says whether they do):",
            *(f"  {f'{name}.':{width}}  CNAME  {to}" for name in dict.fromkeys(names)),
            "",
            "Certificates: the instance's has to cover these names, or each object needs spec.tls.secretRef.",
            "",
            "TVoxes: fetch each profile, and upload it to its TVox; it holds a private key:",
            *(f"  kubectl mcs profile{option} {one.name} --file {one.name}.ovpn" for one in customers),
            *_users(customers, option),
        ]
    )


def _users(customers: Sequence[Customer], option: str) -> Iterator[str]:
    passwords, without_users, without_portal = [], [], []
    for name, members in communities(customers).items():
        users = list(dict.fromkeys(user for one in members for user in one.texts("users")))
        if not users:
            without_users.append(name)
        elif any(one.text("portalDomain") for one in members):
            passwords += [f"  kubectl mcs password{option} {name}/{user}" for user in users]
        else:
            without_portal.append(name)
    if passwords:
        yield from ("", "Passwords: make one for each user; it is shown once:", *passwords)
    if without_users:
        edits = [f"  kubectl edit community{option} {name}" for name in without_users]
        yield from ("", "Users: these Communities have none yet (spec.users, or spec.usersFrom):", *edits)
    if without_portal:
        yield from ("", "No portal, and so no passwords (spec.portalDomain): " + ", ".join(without_portal))
