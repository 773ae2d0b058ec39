"""The pictures of the documentation, as SVG, drawn from the names and numbers that the operator itself uses.

Called by generate.py. Only what an image viewer has to understand is used: no script, no foreign font, no style sheet
of another place. Every text is a sentence that can be searched for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from mcs_operator.api import KINDS, Impact, impacts
from mcs_operator.render.openvpn import RTP_RANGE, TURN_PORT
from mcs_operator.settings import (
    AGENT_PORT_OFFSET,
    CONTRACT_PORT_OFFSET,
    FIRST_NUMBER,
    LAST_NUMBER,
    MAX_LINKS,
    link_name,
)

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
BASE_PORT = 21000
"""The default of spec.vpn.basePort."""
LINE = 17
"""Pixels from one line of a text to the next."""
_STYLE = """\
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #263238 }
.title { font-weight: 600; font-size: 14px }
.small { font-size: 12px; fill: #546e7a }
.code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px }
rect { stroke: #90a4ae; fill: #fff }
.zone { fill: #eceff1; stroke-dasharray: 5 4 }
.ours { fill: #e0f2f1; stroke: #00897b }
.theirs { fill: #fff8e1; stroke: #ffa000 }
.secret { fill: #fce4ec; stroke: #d81b60 }
path { stroke: #455a64; fill: none; stroke-width: 1.5 }
.tunnel { stroke: #00897b; stroke-width: 3 }
.asks { stroke-dasharray: 4 3 }"""
_END_OF_AN_ARROW = (
    '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'markerUnits="userSpaceOnUse" orient="auto">'
    '<path d="M0 0L8 4L0 8Z" style="fill:#455a64;stroke:none"/></marker></defs>'
)


@dataclass
class Picture:
    """A canvas of this size, in pixels, that explains ``title``; later parts lie above earlier ones."""

    title: str
    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def box(self, x: int, y: int, width: int, height: int, style: str, *lines: str) -> None:
        """A box; of its text the first line is the title."""
        self.parts.append(f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        for number, line in enumerate(lines):
            self.text(x + 12, y + 22 + number * LINE, line, "" if number else "title")

    def text(self, x: int, y: int, line: str, style: str = "", anchor: str = "start") -> None:
        """One line; a style of `code` or `small` where it is one of these."""
        self.parts.append(f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(line)}</text>')

    def arrow(self, *points: tuple[int, int], style: str = "") -> None:
        """From the first point to the last one; a style of `tunnel` or `asks` where it is one of these."""
        path = " L".join(f"{x} {y}" for x, y in points)
        self.parts.append(f'<path class="{style}" marker-end="url(#end)" d="M{path}"/>')

    def svg(self) -> str:
        """The file."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img">',
                "<!-- Generated from hack/generate_pictures.py by `make generate`. Do not edit. -->",
                f"<title>{escape(self.title)}</title>",
                f"<style>{_STYLE}</style>",
                _END_OF_AN_ARROW,
                f'<rect x="0" y="0" width="{self.width}" height="{self.height}" rx="8" style="fill:#fff;stroke:none"/>',
                *self.parts,
                "</svg>",
                "",
            ]
        )


def pictures() -> dict[Path, str]:
    """Content of each picture, by path."""
    return {
        PICTURES / "network.svg": network().svg(),
        PICTURES / "architecture.svg": architecture().svg(),
        PICTURES / "adding.svg": adding().svg(),
        PICTURES / "restarts.svg": restarts().svg(),
    }


def network() -> Picture:
    """Who reaches whom, at which ports; where addresses are translated."""
    first, last = BASE_PORT + FIRST_NUMBER, BASE_PORT + LAST_NUMBER
    picture = Picture("Network: the ports of an MCS, and where addresses are translated", 1200, 724)
    picture.box(16, 16, 300, 296, "zone", "Anywhere on the Internet")
    picture.box(32, 52, 268, 98, "theirs", "Public DNS")
    picture.text(44, 94, "mcs.example.com  A  203.0.113.10", "code")
    picture.text(44, 114, "acme.mcs.example.com", "code")
    picture.text(44, 131, "   CNAME  mcs.example.com", "code")
    picture.box(
        32, 166, 268, 130, "theirs", "Browsers, apps, widgets", "of every customer: they open", "acme.mcs.example.com"
    )
    picture.box(16, 334, 300, 116, "zone", "Customer's site: own LAN, any NAT")
    picture.box(32, 370, 268, 66, "theirs", "TVox of acme", "dials out; nothing is open inbound")
    picture.box(16, 472, 300, 116, "zone", "Another customer's site")
    picture.box(32, 508, 268, 66, "theirs", "TVox of globex", "the same, by a port of its own")
    picture.text(16, 620, f"Link N is at port {BASE_PORT} + N: {first} to {last}, by UDP or TCP.", "small")
    picture.text(16, 640, "One number names it everywhere: link-017 is 198.18.254.17, port 21017.", "small")
    picture.text(16, 668, f"* All media at one port. With HostNetwork: {RTP_RANGE}/udp.", "small")

    picture.box(560, 16, 624, 692, "zone", "Your DMZ")
    picture.box(
        576, 52, 160, 640, "", "NAT 1:1", "your firewall:", "203.0.113.10", "is the node, every", "port as it is"
    )
    picture.text(588, 664, "no proxy between", "small")
    picture.box(760, 52, 408, 640, "", "Node with the public address")
    picture.box(776, 88, 376, 536, "ours", "Media pod: one network namespace")
    picture.box(792, 124, 344, 176, "", "media", "the appliance; the tunnels' near end,", "198.18.254.1")
    picture.text(804, 286, f"{BASE_PORT + CONTRACT_PORT_OFFSET}/tcp contract: never published", "small")
    picture.box(792, 312, 344, 52, "", "agent")
    picture.text(804, 352, f"{BASE_PORT + AGENT_PORT_OFFSET}/tcp, TLS with a token: the operator's alone", "small")
    picture.box(792, 376, 344, 56, "", f"{link_name(2)}, acme", "the far end is 198.18.254.2")
    picture.text(
        804, 474, f"… {MAX_LINKS} slots, {link_name(FIRST_NUMBER)} to {link_name(LAST_NUMBER)}; idle until", "small"
    )
    picture.text(804, 491, "a customer gets one", "small")
    picture.box(792, 514, 344, 56, "", f"{link_name(5)}, globex", "the far end is 198.18.254.5")
    picture.text(804, 600, "…", "small")
    picture.text(776, 648, "A TVox reaches the media's ports at .1 and nothing else.", "small")
    picture.text(776, 668, "Out of the pod: DNS and the Internet, no private network.", "small")

    ways = [
        ("443/tcp, 80/tcp", "web"),
        (f"{TURN_PORT}/udp, {TURN_PORT}/tcp", "STUN, TURN"),
        ("10000/udp", "media *"),
    ]
    for number, (ports, what) in enumerate(ways):
        y = 190 + number * 40
        picture.arrow((300, y), (791, y))
        picture.text(330, y - 7, ports, "code")
        picture.text(470, y - 7, what, "small")
    for y, port in ((403, first), (541, BASE_PORT + 5)):
        picture.arrow((300, y), (791, y), style="tunnel")
        picture.text(330, y - 8, f"{port}/udp or {port}/tcp", "code")
        picture.text(330, y + 19, "OpenVPN, certificates both ways", "small")
    return picture


def architecture() -> Picture:
    """What users write, what the operator does with it, and what runs."""
    picture = Picture("Architecture: three resources in, one pinned media pod out", 1080, 560)
    picture.box(16, 16, 240, 528, "zone", "What you write")
    picture.box(
        32,
        52,
        208,
        94,
        "theirs",
        "MCSInstance",
        "the appliance: domain,",
        "tier, image, node, network",
        "one per namespace",
    )
    picture.box(32, 160, 208, 76, "theirs", "Community", "a customer's users, and", "what each of them may do")
    picture.box(32, 250, 208, 76, "theirs", "TVoxLink", "one customer's TVox", f"at most {MAX_LINKS}")
    picture.text(32, 360, "kubectl apply, Helm, GitOps.", "small")
    picture.text(32, 378, "The operator never writes", "small")
    picture.text(32, 396, "into your objects' spec.", "small")

    picture.box(316, 16, 330, 528, "zone", "Operator: two replicas, one leads")
    steps = [
        ("observe", "lists and watches; bodies when new"),
        ("decide", "who is served, number, address, restart"),
        ("mint", "the keys and certificates that are missing"),
        ("render", "the whole desired state, as data"),
        ("apply + prune", "only what differs"),
        ("report", "conditions, Events, metrics"),
    ]
    for number, (name, what) in enumerate(steps):
        picture.box(332, 52 + number * 70, 298, 56, "ours", name, what)
        if number:
            picture.arrow((481, 38 + number * 70), (481, 51 + number * 70))
    picture.text(332, 494, "Every trigger takes the same steps from the start.", "small")
    picture.text(332, 512, "It may die at any moment: nobody notices.", "small")

    picture.box(706, 16, 358, 528, "zone", "The instance's namespace")
    picture.box(
        722,
        52,
        326,
        76,
        "secret",
        "Secrets <link>-profile, <instance>-ca",
        "the identities: numbers, keys, profiles;",
        "kept when their link or instance goes",
    )
    picture.box(
        722,
        142,
        326,
        76,
        "secret",
        "Secret <instance>-link-017",
        "what slot 17 runs; creating it claims",
        "the number, deleting it frees the slot",
    )
    picture.box(722, 232, 326, 296, "ours", "StatefulSet: the pod <instance>-0")
    picture.box(738, 268, 294, 58, "", "media", "users, links and certificates as files")
    picture.box(738, 338, 294, 58, "", "agent", "tells what every tunnel does")
    picture.box(
        738, 408, 294, 58, "", f"{link_name(2)} … {link_name(LAST_NUMBER)}", "one OpenVPN, Secret and rules each"
    )
    picture.text(738, 490, "Its template knows no customer:", "small")
    picture.text(738, 508, "0, 1 and 250 links give the same bytes.", "small")

    picture.arrow((240, 98), (331, 80))
    picture.arrow((240, 198), (331, 84))
    picture.arrow((240, 288), (331, 90))
    picture.arrow((630, 360), (721, 96))
    picture.arrow((630, 360), (721, 180))
    picture.arrow((630, 360), (721, 270))
    picture.arrow((885, 218), (885, 231))
    picture.arrow((738, 372), (676, 372), (676, 66), (631, 66), style="asks")
    picture.arrow((332, 430), (286, 430), (286, 310), (241, 310), style="asks")
    picture.text(32, 430, "status: conditions that", "small")
    picture.text(32, 448, "kubectl wait understands", "small")
    return picture


def adding() -> Picture:
    """What happens, in order, when a customer is added; nothing of it touches another one."""
    picture = Picture("Adding a customer: six steps, none of which touches another customer", 1080, 236)
    steps = [
        ("You", "apply a TVoxLink;", "quota and webhook", "take it or refuse it", "theirs"),
        ("Operator", "makes the identity:", "Secret <link>-profile", "with the profile", "ours"),
        ("Operator", "claims number 17:", "creates Secret", "<instance>-link-017", "ours"),
        ("Kubelet", "an annotation of the", "pod wakes it: the", "Secret is mounted", ""),
        ("Slot link-017", "sees the revision,", "checks its hash,", "starts OpenVPN", "ours"),
        ("TVox", "dials 21017 with the", "profile: Connected,", "web name is routed", "theirs"),
    ]
    for number, (title, *lines, style) in enumerate(steps):
        x = 16 + number * 178
        picture.box(x, 44, 158, 96, style, f"{number + 1}. {title}", *lines)
        if number:
            picture.arrow((x - 20, 92), (x - 1, 92))
    picture.text(16, 28, "Adding a customer", "title")
    picture.text(
        16,
        172,
        "Steps 1 to 5 take about two seconds. The pod's template, its other containers and the other tunnels",
        "small",
    )
    picture.text(
        16,
        190,
        "are not written to. Removing is the same way back: the slot's Secret goes with its link, the slot idles,",
        "small",
    )
    picture.text(16, 208, "and the identity in <link>-profile is kept for spec.retain.links.", "small")
    return picture


_STAYS, _STAY = "goes on", "go on"
_COSTS = {
    Impact.HOT: (_STAYS, _STAYS, _STAY, _STAYS),
    Impact.IN_PLACE: ("another size", _STAYS, _STAY, _STAYS),
    Impact.THIS_LINK: (_STAYS, "reconnects, or stops", _STAY, _STAYS),
    Impact.NEW_PROFILE: (_STAYS, "needs a new profile", _STAY, _STAYS),
    Impact.MEDIA_RESTART: ("replaced: calls end", _STAYS, _STAY, _STAYS),
    Impact.RESTART: ("replaced: calls end", "comes back", "come back", "replaced"),
}
"""For each impact: the media container, that customer's tunnel, all other tunnels, the pod."""
_GATED = (Impact.MEDIA_RESTART, Impact.RESTART)
_LONGEST_LIST = 155
"""Characters of a line of fields."""


def restarts() -> Picture:
    """What of the pod a changed field touches, for each impact and with all its fields, from the models themselves."""
    heads = ("the media container", "that customer's tunnel", "all other tunnels", "the pod")
    rows = [(impact, _lines_of_fields(impact)) for impact in Impact]
    height = 96 + sum(_height_of(lines) + 10 for _, lines in rows) + 44
    picture = Picture("What restarts what: each changed field, and what of the media pod it touches", 1200, height)
    picture.text(16, 32, "What restarts what", "title")
    for number, head in enumerate(heads):
        picture.text(_column(number), 68, head, "title", "middle")
    y = 84
    for impact, lines in rows:
        tall = _height_of(lines)
        picture.box(16, y, 1168, tall, "theirs" if impact in _GATED else "ours", impact.value)
        for number, cell in enumerate(_COSTS[impact]):
            style = "small" if cell in (_STAYS, _STAY) else "title"
            picture.text(_column(number), y + 22, cell, style, "middle")
        for number, line in enumerate(lines):
            picture.text(28, y + 44 + number * LINE, line, "code")
        y += tall + 10
    picture.text(
        16, y + 20, "Amber waits for its hour (spec.disruptions), drains first, and is told before by plan.", "small"
    )
    return picture


def _column(number: int) -> int:
    return 420 + number * 205


def _height_of(lines: list[str]) -> int:
    return 40 + len(lines) * LINE


def _lines_of_fields(impact: Impact) -> list[str]:
    lines = []
    for model in KINDS:
        paths = (path.removeprefix("spec.") for path, found in impacts(model).items() if found is impact)
        fields = list(dict.fromkeys(path.partition("[]")[0] for path in paths))
        line = f"{model.kind}:"
        for field_path in fields:
            if len(line) + len(field_path) > _LONGEST_LIST:
                lines.append(line)
                line = "   "
            line += f" {field_path}"
        if fields:
            lines.append(line)
    return lines
