"""Answers with its name on ports of its own, and says what it heard. Runs inside of a container, or on this machine.

    python3 voices.py NAME [tcp:PORT | udp:PORT | tcp:PORT:ADDRESS | udp:PORT:ADDRESS]...

Standard library only, in one file: it is handed over whole to a Python that knows nothing of this project. ``ADDRESS``:
of IPv6 in brackets. Prints `ready` when it listens everywhere, then each question that arrived as a line of its own,
and ends with its standard input. A connection that "succeeds" proves nothing where a gateway accepts all of them; a
name does.
"""

import contextlib
import socket
import sys
import threading


def main() -> None:
    """Listen until standard input ends."""
    name = sys.argv[1].encode()
    for place in sys.argv[2:]:
        transport, port, *address = place.split(":", 2)
        family = socket.AF_INET6 if address and address[0].startswith("[") else socket.AF_INET
        voice = socket.socket(family, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
        voice.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # To whoever asks over several addresses UDP answers from the one that was asked only where it is bound to it.
        own = address[0].strip("[]") if address else "0.0.0.0"  # noqa: S104 - a test's, for as long as it runs
        voice.bind((own, int(port)))
        if transport == "tcp":
            voice.listen()
        threading.Thread(target=hear_tcp if transport == "tcp" else hear_udp, args=(voice, name), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def hear_tcp(voice: socket.socket, name: bytes) -> None:
    """Answer each connection once."""
    while True:
        connection, _ = voice.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2)
            print(connection.recv(200).decode(errors="replace").strip(), flush=True)
            connection.send(name)


def hear_udp(voice: socket.socket, name: bytes) -> None:
    """Answer each datagram."""
    while True:
        question, peer = voice.recvfrom(2000)
        print(question.decode(errors="replace").strip(), flush=True)
        with contextlib.suppress(OSError):
            voice.sendto(name, peer)


if __name__ == "__main__":
    main()
