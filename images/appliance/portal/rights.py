"""WHAT ONE MAY DO: pure, and nowhere else. Functions bind who sends; those of chat and files who receives, too."""

from __future__ import annotations

from portal.told import User

MEDIA = {"audio": "Audio", "video": "Video"}
_IN_A_CALL = frozenset({"Audio", "Video", "DesktopSharing"})


def may_be_in_calls(user: User) -> bool:
    """One who may send nothing at all in a call is not to be called."""
    return bool(user.functions & _IN_A_CALL)


def may_start(user: User, media: str) -> bool:
    """To call, and to invite to a call of this kind."""
    return MEDIA[media] in user.functions


def may_chat(user: User) -> bool:
    return "Chat" in user.functions


def may_share_files(user: User) -> bool:
    return "FileSharing" in user.functions
