"""What a change of a TVoxLink costs its customer, in words: for admission and for `plan`. Pure."""

from __future__ import annotations


def new_profile(namespace: str, link: str) -> str:
    """Before a change that makes the profile useless which the TVox has."""
    return (
        "the TVox is cut off until its new profile is uploaded to it: "
        f"kubectl mcs profile{f' -n {namespace}' if namespace else ''} {link}"
    )
