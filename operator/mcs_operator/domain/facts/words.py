"""Words of others, as many of them as are kept."""

from __future__ import annotations

_LEFT_OUT = " .. "


def shortened(saying: str, longest: int) -> str:
    """Without its middle, where it is too long: of an image that cannot be pulled a kubelet says why at the very end,
    after the image's name three times over, and a name by digest is as long as it likes."""
    half = (longest - len(_LEFT_OUT)) // 2
    return saying if len(saying) <= longest else f"{saying[:half]}{_LEFT_OUT}{saying[-half:]}"
