"""Asks who is there, one place after the other. Runs inside of a container.

    python3 questions.py DEVICE SECONDS [tcp|udp:ADDRESS:PORT[:SOURCE]]...

Standard library only, in one file. ``DEVICE``: the one that all questions leave by, whatever the routes say; `-` for
whichever the routes say. ``ADDRESS``: of IPv6 in brackets. ``SOURCE``: an address to ask from; it has to be one of this
host. Prints a JSON list: the answers in order, null for silence. Every question is `GET /` with its own place as the
host, so that web servers answer and those who listen can tell one from another.
"""

import json
import socket
import sys


def main() -> None:
    """Ask all."""
    device, seconds = sys.argv[1], float(sys.argv[2])
    print(json.dumps([ask(place, device, seconds) for place in sys.argv[3:]]))


def ask(place: str, device: str, seconds: float) -> "str | None":
    """What answered, or None."""
    transport, _, rest = place.partition(":")
    by_6 = rest.startswith("[")
    address, _, rest = rest.lstrip("[").partition("]:" if by_6 else ":")
    port, *source = rest.split(":")
    family, kind = socket.AF_INET6 if by_6 else socket.AF_INET, socket.SOCK_STREAM
    with socket.socket(family, kind if transport == "tcp" else socket.SOCK_DGRAM) as question:
        question.settimeout(seconds)
        if device != "-":
            question.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        if source:
            question.bind((source[0], 0))
        try:
            question.connect((address, int(port)))
            question.send(f"GET / HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
            return question.recv(300).decode(errors="replace") or None
        except OSError:
            return None


if __name__ == "__main__":
    main()
