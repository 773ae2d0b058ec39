"""A real browser that uses one connection for two customers' sites, as HTTP/2 allows where one certificate has both."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import shutil
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha1
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.browser import trust
from unit.images.appliance_set import MountedSet, link
from unit.images.test_appliance import HAPROXY, A, B, Running

BROWSER, CERTUTIL = shutil.which("chromium"), shutil.which("certutil")
pytestmark = pytest.mark.skipif(
    not (HAPROXY and BROWSER and CERTUTIL),
    reason="not installed: haproxy, chromium or certutil (Debian: haproxy chromium libnss3-tools)",
)
"""In `make soak` alone, for a browser is 350 MB. The unit tests show the 421 and the new connection with curl."""

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAGE = """<!doctype html><title>nothing</title><p id=said>nothing</p>
<script>
  const say = text => { document.getElementById("said").textContent = text };
  const next = document.createElement("script");
  next.src = "https://%s/next.js";
  next.onerror = () => say("refused");
  const call = new WebSocket("wss://" + location.host + "/call");
  document.head.append(next);
</script>"""


async def site(called: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A TVox: its page makes a call and fetches a script of the neighbour's, who says who he is when called."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            host = next(line[6:] for line in head.split("\r\n") if line.lower().startswith("host: "))
            mine = writer.get_extra_info("sockname")[0]
            if "upgrade: websocket" in head.lower():
                key = next(line[19:] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key: "))
                proof = b64encode(sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
                writer.write(f"Sec-WebSocket-Accept: {proof}\r\n\r\n".encode())
                called.set()
                await reader.read()
                break
            if head.startswith("GET /next.js "):
                await asyncio.wait_for(called.wait(), 15)
            is_page = head.startswith("GET / ")
            body = PAGE % host.replace(A, B) if is_page else f'say("{host.partition(":")[0]} by {mine}")'
            kind = "text/html" if is_page else "text/javascript"
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
    writer.close()


def signed(*names: str) -> tuple[str, str, str]:
    """A CA's certificate, and the certificate and key of a server with these names."""
    now, keys = dt.datetime.now(dt.UTC), [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    common = (x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("the test's CA", names[0]))
    issuer, subject = (x509.Name([name]) for name in common)

    def build(name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> str:
        built = (
            x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1)).add_extension(extension, False).sign(keys[0], hashes.SHA256())
        )  # fmt: skip
        return built.public_bytes(serialization.Encoding.PEM).decode()

    ca = build(issuer, keys[0], x509.BasicConstraints(ca=True, path_length=None))
    leaf = build(subject, keys[1], x509.SubjectAlternativeName([x509.DNSName(name) for name in names]))
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ca, leaf, key.decode()


@pytest_asyncio.fixture
async def serving() -> AsyncIterator[tuple[Running, Path]]:
    """The appliance with two customers on one certificate, and the home of a browser that trusts its CA."""
    root = Path(tempfile.mkdtemp(prefix="mcs-"))
    for name in ("data", "etc", "home"):
        (root / name).mkdir(parents=True)
    ca, leaf, key = signed(A, B)
    trust(root / "home", ca)
    running = Running(root, MountedSet(root / "etc", links=[link(17), link(18)]))
    running.mounted.certificates = [{"domain": domain, "certificate": leaf, "key": key} for domain in (A, B)]
    tvox = functools.partial(site, asyncio.Event())
    servers = [await asyncio.start_server(tvox, f"127.0.0.{number}", running.tvox) for number in (17, 18)]
    try:
        await running.start()
        await running.take()
        yield running, root / "home"
    finally:
        if running.process is not None:
            await running.stop()
        for server in servers:
            server.close()
        shutil.rmtree(root, ignore_errors=True)


async def test_a_browser_that_used_one_connection_for_two_sites_is_served_by_both(
    serving: tuple[Running, Path],
) -> None:
    running, home = serving
    browser = await asyncio.create_subprocess_exec(
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={home}/data", f"--log-net-log={home}/network.json",
        "--host-resolver-rules=MAP *.example.com 127.0.0.1", "--virtual-time-budget=20000", "--dump-dom",
        f"https://{A}:{running.https}/",
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        shown, _ = await asyncio.wait_for(browser.communicate(), 60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            browser.kill()
    assert f"{B} by 127.0.0.18" in shown.decode()
    # By the browser's own word: HAProxy counts no answers of a frontend that begins by telling TURN from HTTPS.
    refused = (home / "network.json").read_text().count('":status: 421"')
    assert refused == 1, "it did not try with the other site's connection first, or more than once"
