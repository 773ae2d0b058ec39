"""The slot supervisor (images/link/supervisor): the real script, with fake openvpn and nft programs.

Each test is one sentence of the slot's contract. Nothing here needs root or a network. Waiting is always for a
condition, with a limit far above what an idle machine needs, so that a loaded machine is slow rather than red.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from mcs_operator.contract.exits import EXIT_FILE, exit_line

SUPERVISOR = Path(__file__).resolve().parents[3] / "images" / "link" / "supervisor"
SET = ("DEFAULT", "ca.crt", "enabled", "firewall.nft", "server.conf", "tls-crypt.key", "tls.crt", "tls.key")
SECRET_WORD = "nobody-may-ever-read-this"  # in every key of the tests, never in what the supervisor prints

AT_ONCE = 10
"""Seconds: it takes 0.03 on an idle machine, 0.4 with an openvpn that does not listen; no test gives it a turn."""

# Says in calls.log when and how it was started; lives until SIGTERM, or for good where the file `stubborn` is.
FAKE_OPENVPN = """#!/bin/bash
say() { printf '%s openvpn %s %s\\n' "$EPOCHREALTIME" "$$" "$1" >>"$FAKES/calls.log"; }
trap 'say term; [[ -e $FAKES/stubborn ]] || exit 0' TERM
say "start umask=$(umask) conf=$(<"$2/server.conf") $*"
echo "openvpn speaks"
if [[ -e $FAKES/openvpn-fails ]]; then exit 7; fi
exec 3<> <(:)
while :; do read -r -t 1 -u 3; done
"""
FAKE_NFT = """#!/bin/bash
if [[ $1 == list ]]; then
  printf '%s nft 0 list %s\\n' "$EPOCHREALTIME" "$*" >>"$FAKES/calls.log"
  cat "$FAKES/listed"
  exit
fi
if [[ $2 == - ]]; then what="undo: $(cat)"; else what="load: $2"; fi
printf '%s nft 0 %s\\n' "$EPOCHREALTIME" "$what" >>"$FAKES/calls.log"
if [[ $2 != - ]] && grep -q broken "$2"; then echo "$2:1:1-6: Error: syntax error"; exit 1; fi
"""


@dataclasses.dataclass(frozen=True)
class Call:
    """One run of a fake program: when (seconds since the epoch), which program, its pid, what it said."""

    at: float
    program: str
    pid: int
    said: str


def revision_of(files: Mapping[str, str]) -> str:
    """The revision of a set, by the definition that operator and supervisor share."""
    lines = "".join(f"{hashlib.sha256(files[name].encode()).hexdigest()}  {name}\n" for name in SET)
    return hashlib.sha256(lines.encode()).hexdigest()


def a_set(server_conf: str = "first", **changes: str) -> dict[str, str]:
    """A complete Secret of a slot; `changes` replace files by name, after the revision is made only for `revision`."""
    files = {name: f"{name} of a test" for name in SET}
    files |= {"enabled": "true", "server.conf": server_conf, "tls.key": SECRET_WORD, "tls-crypt.key": SECRET_WORD}
    files |= {"firewall.nft": "#- take it away\nadd it\n"}
    files |= {name.replace("__", "."): text for name, text in changes.items() if name != "revision"}
    return {**files, "revision": changes.get("revision", revision_of(files))}


class Slot:
    """A slot on this machine: its Secret volume, laid out as the kubelet does it, its run volume and its process."""

    def __init__(self, folder: Path, number: str = "251") -> None:
        self.link, self.run, self.stop, self.fakes = (folder / name for name in ("link", "run", "stop", "fakes"))
        for path in (self.link, self.run, self.stop, self.fakes):
            path.mkdir()
        for name, text in (("openvpn", FAKE_OPENVPN), ("nft", FAKE_NFT)):
            (self.fakes / name).write_text(text)
            (self.fakes / name).chmod(0o755)
        self.number, self.versions, self.output = number, 0, folder / "output"
        self.process: subprocess.Popen[bytes] | None = None

    # -- the kubelet's side

    def publish(self, files: Mapping[str, str], names_follow: bool = True) -> None:
        """As the kubelet's atomic writer: a new folder, ..data swapped to it, then the names beside it put right."""
        self.versions += 1
        version = self.link / f"..version-{self.versions}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
        old = (self.link / "..data").resolve() if (self.link / "..data").exists() else None
        (self.link / "..data_tmp").symlink_to(version.name)
        (self.link / "..data_tmp").rename(self.link / "..data")
        for path in self.link.iterdir() if names_follow else ():
            if not path.name.startswith(".."):
                path.unlink()
        for name in files if names_follow else ():
            (self.link / name).symlink_to(f"..data/{name}")
        if old:
            shutil.rmtree(old)

    def withdraw(self) -> None:
        """The Secret is deleted: an optional Secret volume becomes empty."""
        self.publish({})

    def leave_good(self, files: Mapping[str, str]) -> None:
        """What an earlier life of the container leaves in its run volume."""
        (self.run / "good").mkdir(mode=0o700)
        for name, text in files.items():
            (self.run / "good" / name).write_text(text)
        state = {"revision": files["revision"], "pid": 9, "state": "Running", "error": None, "changed": "then"}
        (self.run / "state.json").write_text(json.dumps(state))

    def start(self, **more: str) -> None:
        environment = {
            "PATH": f"{self.fakes}:{os.environ['PATH']}",
            "FAKES": str(self.fakes),
            "SLOT": self.number,
            "LINK_DIR": str(self.link),
            "RUN_DIR": str(self.run),
            "STOP_DIR": str(self.stop),
            "TUN_DEVICE": "",
            **more,
        }
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                [SUPERVISOR], env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def crash(self) -> None:
        """The container dies with all its processes; its volumes stay."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def ended_with(self, limit: float = 20) -> int:
        assert self.process
        return self.process.wait(limit)

    # -- what can be seen

    def state(self) -> dict[str, object]:
        try:
            found = json.loads((self.run / "state.json").read_text())
        except FileNotFoundError:
            return {}
        assert isinstance(found, dict)
        assert list(found)[:5] == ["revision", "pid", "state", "error", "changed"]
        assert set(found) - {"dropped"} == {"revision", "pid", "state", "error", "changed"}
        return found

    def calls(self, program: str = "", saying: str = "") -> list[Call]:
        try:
            lines = (self.fakes / "calls.log").read_text().splitlines()
        except FileNotFoundError:
            return []
        parts = (line.split(" ", 3) for line in lines)
        calls = [Call(float(at), name, int(pid), said) for at, name, pid, said in parts]
        return [call for call in calls if program in call.program and call.said.startswith(saying)]

    def starts(self) -> list[Call]:
        return self.calls("openvpn", "start")

    def forked_and_reaped(self) -> int:
        """Page faults of all reaped children: no process lives without one, so unchanged means nothing was forked."""
        assert self.process
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[8])

    def rests(self) -> None:
        """Wait until it has reaped all that it forked for the state it shows: the write of a state is itself a fork."""
        assert self.process
        known = {self.state().get("pid")}
        self.wait("no child but its openvpn", lambda: children_of(self.process) <= known)

    def wait(self, what: str, condition: Callable[[], object], limit: float = 20) -> None:
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"not in {limit} s: {what}; {self.state()}\n{self.output.read_text()}")
            time.sleep(0.02)

    def wait_state(self, state: str, revision: str | None) -> dict[str, object]:
        self.wait(
            f"{state} {revision}",
            lambda: (self.state().get("state"), self.state().get("revision")) == (state, revision),
        )
        return self.state()

    def running(self, files: Mapping[str, str], **more: str) -> dict[str, object]:
        """Publishes a set, starts the supervisor if need be, waits until the set runs."""
        self.publish(files)
        if not self.process:
            self.start(**more)
        state = self.wait_state("Running", files["revision"])
        # The state is written when the process begins, a moment before it has noted that it did.
        self.wait("its openvpn has noted its start", lambda: state["pid"] in [call.pid for call in self.starts()])
        return state


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    yield from living(Slot(tmp_path))


def living(slot: Slot) -> Iterator[Slot]:
    yield slot
    if slot.process:
        slot.process.kill()  # first, or its shell may still tell of those that it sees killed
        slot.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(slot.process.pid, signal.SIGKILL)
        assert SECRET_WORD not in slot.output.read_text()
        # That a child was killed the shell may tell by itself, where it hears of it before `wait` does.
        assert not re.search(r"line \d+: (?! *\d+ Killed)", slot.output.read_text()), "the shell complains"


def alive(pid: object) -> bool:
    assert isinstance(pid, int)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(process: subprocess.Popen[bytes] | None) -> set[object]:
    """Its child processes, those included that ended and are not reaped yet."""
    assert process
    return {int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}


# ---------------------------------------------------------------------------------------------------- idle and running


def test_idle_and_running_slots_fork_nothing_and_write_nothing(slot: Slot) -> None:
    slot.start()
    slot.wait_state("Idle", None)
    slot.rests()
    before, written = slot.forked_and_reaped(), (slot.run / "state.json").stat()
    time.sleep(1.2)  # more than one round
    assert slot.forked_and_reaped() == before
    assert (slot.run / "state.json").stat() == written
    slot.running(a_set())
    slot.rests()
    before, written = slot.forked_and_reaped(), (slot.run / "state.json").stat()
    time.sleep(1.2)  # more than one round
    assert slot.forked_and_reaped() == before
    assert (slot.run / "state.json").stat() == written
    assert not slot.calls("nft", "undo")


SOME_SOURCES = "#- take it away\nip saddr != { 203.0.113.0/24 } counter drop\n"
LISTED = """table inet mcs_links {
	chain link_251_port {
		ip saddr != 203.0.113.0/24 counter packets 17 bytes 1394 drop
		meta l4proto udp ct state new counter packets 5 bytes 1 drop
	}
}
"""


def test_a_slot_that_hears_nobody_says_how_many_packets_of_others_its_firewall_has_dropped(slot: Slot) -> None:
    (slot.fakes / "listed").write_text(LISTED)
    slot.start()
    slot.running(a_set(firewall__nft=SOME_SOURCES))
    assert "dropped" not in slot.state(), "nobody was asked yet"
    slot.wait("it is told", lambda: slot.state().get("dropped") == 17)
    (asked,) = slot.calls("nft", "list")
    assert asked.said == "list list chain inet mcs_links link_251_port"
    slot.running(second := a_set("second", firewall__nft=SOME_SOURCES))
    assert (slot.state()["revision"], "dropped" in slot.state()) == (second["revision"], False), "it counts anew"


def test_a_slot_that_lets_everybody_in_asks_its_firewall_nothing(slot: Slot) -> None:
    (slot.fakes / "listed").write_text(LISTED)
    slot.running(a_set())
    time.sleep(12)  # the first look would have been after ten
    assert not slot.calls("nft", "list")


def test_idle_slot_owns_half_a_mebibyte(slot: Slot) -> None:
    slot.start()
    slot.wait_state("Idle", None)
    assert slot.process
    memory = Path(f"/proc/{slot.process.pid}/smaps_rollup").read_text()
    (own,) = (int(line.split()[1]) for line in memory.splitlines() if line.startswith("Pss_Anon:"))
    assert own < 700, "KiB; the shell's table of ended children alone would be another 512"
    limits = Path(f"/proc/{slot.process.pid}/limits").read_text()
    (soft, hard) = next(line.split()[2:4] for line in limits.splitlines() if line.startswith("Max processes"))
    assert soft == hard, "openvpn runs under the limits that the container was given"


def test_good_set_runs_from_a_private_copy_behind_its_firewall(slot: Slot) -> None:
    files = a_set()
    state = slot.running(files)
    (start,) = slot.starts()
    assert state["pid"] == start.pid
    assert state["error"] is None
    good = slot.run / "good"
    assert f"--cd {good} --config server.conf" in start.said
    assert "conf=first" in start.said
    assert "umask=0000" in start.said, "the agent is another user and must reach the management socket"
    assert stat.S_IMODE(good.stat().st_mode) == 0o700
    assert stat.S_IMODE((slot.run / "state.json").stat().st_mode) == 0o644
    assert {path.name for path in good.iterdir()} == {*SET, "revision"}
    assert slot.calls("nft", "load")[0].at < start.at
    assert "openvpn speaks" in slot.output.read_text()
    time.strptime(str(state["changed"]), "%Y-%m-%dT%H:%M:%SZ")


def test_other_keys_of_the_secret_are_ignored(slot: Slot) -> None:
    slot.running({**a_set(), "note": "of a platform team"})
    assert not (slot.run / "good" / "note").exists()


def test_new_revision_replaces_the_process_within_its_grace_even_when_it_does_not_listen(slot: Slot) -> None:
    (slot.fakes / "stubborn").touch()
    pids = []
    for name in ("first", "second", "third", "fourth"):
        pids.append(slot.running(a_set(name))["pid"])
        slot.wait("it has begun", lambda name=name: any(f"conf={name}" in start.said for start in slot.starts()))
    assert [alive(pid) for pid in pids] == [False, False, False, True]
    # On a busy machine SIGTERM may be heard late, or within its 0.3 s not at all.
    terms = {term.pid: term.at for term in slot.calls("openvpn", "term")}
    graces = [after.at - terms[of.pid] for of, after in pairwise(slot.starts()) if of.pid in terms]
    assert max(graces) > 0.2 and min(graces) < 3, "SIGTERM, 0.3 s, SIGKILL, start"


def test_set_is_read_whole_while_the_kubelet_has_not_put_all_names_right(slot: Slot) -> None:
    slot.publish(a_set(), names_follow=False)
    slot.start()
    slot.wait_state("Running", a_set()["revision"])
    assert not (slot.link / "revision").exists()


# ------------------------------------------------------------------------------------------------------------ bad sets

BAD_SETS = [
    pytest.param(a_set("second", revision=revision_of(a_set("first"))[::-1]), "SHA-256", id="revision of another set"),
    pytest.param(a_set(revision="short"), "SHA-256", id="revision that is no hash"),
    pytest.param({k: v for k, v in a_set("second").items() if k != "tls.key"}, "incomplete", id="file missing"),
    pytest.param(a_set("second", enabled="yes"), "enabled", id="enabled neither true nor false"),
    pytest.param(a_set("second", firewall__nft="broken"), "firewall: ", id="firewall that does not load"),
]


def test_bad_set_keeps_the_running_one(slot: Slot) -> None:
    before = slot.running(a_set("first"))
    slot.publish(a_set("second", firewall__nft="broken"))
    state = slot.wait_state("Quarantined", a_set("first")["revision"])
    assert state["pid"] == before["pid"]
    assert alive(before["pid"])
    assert len(slot.starts()) == 1
    assert (slot.run / "good" / "server.conf").read_text() == "first"


@pytest.mark.parametrize(("bad", "error"), BAD_SETS)
def test_bad_set_is_quarantined_with_its_reason_and_the_good_one_serves(
    slot: Slot, bad: dict[str, str], error: str
) -> None:
    slot.publish(bad)
    slot.leave_good(a_set("first"))
    slot.start()
    assert error in str(slot.wait_state("Quarantined", a_set("first")["revision"])["error"])
    slot.wait("a start", slot.starts)
    assert "conf=first" in slot.starts()[0].said


def test_first_set_that_is_bad_starts_nothing(slot: Slot) -> None:
    slot.publish(a_set(revision="0" * 64))
    slot.start()
    state = slot.wait_state("Quarantined", None)
    assert state["pid"] is None
    assert not slot.calls()


def test_half_written_set_goes_on_once_it_is_whole_under_the_same_revision(slot: Slot) -> None:
    whole = a_set("second")
    slot.leave_good(a_set("first"))
    slot.publish({**whole, "server.conf": "fir"})
    slot.start()
    slot.wait_state("Quarantined", a_set("first")["revision"])
    slot.running(whole)
    assert slot.state()["error"] is None
    assert "conf=second" in slot.starts()[-1].said


def test_bad_set_taken_back_leaves_no_trace_and_the_same_process(slot: Slot) -> None:
    before = slot.running(a_set("first"))
    slot.publish(a_set("second", revision="bad"))
    slot.wait_state("Quarantined", a_set("first")["revision"])
    after = slot.running(a_set("first"))
    assert (after["pid"], after["error"]) == (before["pid"], None)
    assert len(slot.starts()) == 1


def test_set_that_stays_bad_is_looked_at_ever_more_seldom() -> None:
    said = sourced("wanted=x; for i in {1..7}; do refuse bad; echo $((recheck_at - clock)); clock=$recheck_at; done")
    assert [int(tenths) / 10 for tenths in said.split()] == [2, 4, 8, 16, 30, 30, 30]
    said = sourced("wanted=x; for i in {1..7}; do refuse bad; done; refuse otherwise; echo $((recheck_at - clock))")
    assert int(said) == 20, "for another reason it begins anew"


# ------------------------------------------------------------------------------------------------------------- firewall


def test_new_firewall_alone_costs_the_customer_nothing(slot: Slot) -> None:
    before = slot.running(a_set())
    folder = (slot.run / "good").stat().st_ino
    changed = a_set(firewall__nft="#- take the new one away\nadd another\n")
    after = slot.running(changed)
    assert (after["pid"], len(slot.starts())) == (before["pid"], 1)
    assert (slot.run / "good").stat().st_ino == folder, "openvpn works in there"
    assert {path.name: path.read_text() for path in (slot.run / "good").iterdir()} == changed
    assert len(slot.calls("nft", "load")) == 2
    slot.withdraw()
    slot.wait_state("Idle", None)
    assert slot.calls("nft")[-1].said == "undo: take the new one away"


@pytest.mark.parametrize("name", [name for name in SET if name not in ("firewall.nft", "enabled")])
def test_any_other_file_is_a_reason_for_another_openvpn(tmp_path: Path, name: str) -> None:
    for folder, text in (("good", "before"), ("good.new", "after")):
        (tmp_path / folder).mkdir()
        for each in SET:
            (tmp_path / folder / each).write_text(text if each in (name, "firewall.nft") else "same")
    assert sourced(f"RUN_DIR={tmp_path}; only_the_firewall_is_new; echo $?") == "1\n"
    (tmp_path / "good.new" / name).write_text("before")
    assert sourced(f"RUN_DIR={tmp_path}; only_the_firewall_is_new; echo $?") == "0\n"


def test_new_firewall_that_does_not_load_leaves_the_one_in_force(slot: Slot) -> None:
    slot.running(a_set())
    slot.publish(a_set(firewall__nft="broken"))
    slot.wait_state("Quarantined", a_set()["revision"])
    assert (slot.run / "good" / "firewall.nft").read_text() == a_set()["firewall.nft"]


# ----------------------------------------------------------------------------------- what somebody else put into a slot


def planted(slot: Slot, folder: Path) -> None:
    """A whole set of somebody else's, with its own revision."""
    folder.mkdir()
    for name, text in a_set("planted").items():
        (folder / name).write_text(text)


def test_set_that_a_link_leads_to_is_never_run(slot: Slot) -> None:
    elsewhere = slot.fakes / "elsewhere"
    planted(slot, elsewhere)
    for name in ("good", "good.new"):
        (slot.run / name).symlink_to(elsewhere)
    slot.publish(a_set("mine", revision="bad"))
    slot.start()
    slot.wait_state("Quarantined", None)
    assert not slot.starts()
    assert not slot.calls("nft")
    slot.running(a_set("mine"))
    assert not (slot.run / "good").is_symlink()
    assert (elsewhere / "server.conf").read_text() == "planted", "what it led to is not touched"


def test_state_is_not_written_through_a_link(slot: Slot) -> None:
    (slot.fakes / "precious").write_text("as it was")
    (slot.run / "state.json.new").symlink_to(slot.fakes / "precious")
    slot.start()
    slot.wait_state("Idle", None)
    assert (slot.fakes / "precious").read_text() == "as it was"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to own something as another user")
def test_set_of_another_user_in_an_idle_slot_is_taken_away_and_the_slot_closed(slot: Slot) -> None:
    slot.run.chmod(0o777)
    planted(slot, slot.run / "good")
    for path in (*(slot.run / "good").iterdir(), slot.run / "good"):
        os.chown(path, 65532, 65532)
    slot.start()
    slot.wait_state("Idle", None)
    assert not slot.calls()
    assert [path.name for path in slot.run.iterdir()] == ["state.json"]
    assert stat.S_IMODE(slot.run.stat().st_mode) == 0o755, "nobody else can put anything there any more"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to own something as another user")
def test_file_of_another_user_makes_no_set_of_ones_own(slot: Slot) -> None:
    slot.leave_good(a_set())
    os.chown(slot.run / "good" / "server.conf", 65532, 65532)
    slot.publish(a_set("second", revision="bad"))
    slot.start()
    slot.wait_state("Quarantined", None)
    assert not slot.starts()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to own something as another user")
def test_run_directory_of_another_user_is_no_place_to_start_anything(slot: Slot) -> None:
    slot.publish(a_set())
    os.chown(slot.run, 65532, 65532)
    slot.run.chmod(0o777)
    slot.start()
    assert "own" in str(slot.wait_state("Quarantined", None)["error"])
    assert not slot.starts()


# --------------------------------------------------------------------------------------------------- where nothing fits


CIDR = "198.18.254.0/24"
ROUTES = [
    pytest.param("", None, id="none"),
    pytest.param("default via 10.244.0.1 dev eth0\n", None, id="the default"),
    pytest.param("default proto static \\\tnexthop via 10.0.0.1 dev eth0 weight 1\n", None, id="two defaults"),
    pytest.param("0.0.0.0/1 via 10.8.0.1 dev tun0\n128.0.0.0/1 via 10.8.0.1 dev tun0\n", None, id="halves of it"),
    pytest.param(f"unreachable {CIDR}\n198.18.254.9 dev link-009 scope link\n", None, id="our own"),
    pytest.param("local 198.18.254.1 dev link-009 table local\n", None, id="our address"),
    pytest.param(f"{CIDR} dev cni0 proto kernel scope link\n", f"{CIDR} dev cni0", id="the same"),
    pytest.param("198.18.0.0/15 via 10.0.0.9 dev eth0\n", "198.18.0.0/15 via", id="a wider one"),
    pytest.param("198.18.254.128/25 dev eth1\n", "198.18.254.128/25", id="a part"),
    pytest.param("198.18.254.9 dev link-0090 scope link\n", "link-0090", id="a device that only looks like ours"),
    pytest.param("local 198.18.254.9 dev lo table local\n", "local 198.18.254.9", id="an address of the node"),
]


@pytest.mark.parametrize(("routes", "found"), ROUTES)
def test_route_of_somebody_else_is_told_apart_from_ours(routes: str, found: str | None) -> None:
    said = sourced(f'VPN_CIDR={CIDR}; ip() {{ printf %s ${routes!r}; }}; find_foreign_route; printf %s "$foreign"')
    assert bool(said) is bool(found)
    assert (found or "") in said


def fake_ip(slot: Slot, routes: str) -> None:
    (slot.fakes / "routes").write_text(routes)
    (slot.fakes / "ip").write_text(
        '#!/bin/bash\nprintf "0 ip 0 %s\\n" "$*" >>"$FAKES/calls.log"\ncat "$FAKES/routes"\n'
    )
    (slot.fakes / "ip").chmod(0o755)


def test_where_the_network_is_in_use_nothing_is_started_until_it_is_not(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "2")
    fake_ip(slot, f"{CIDR} dev cni0\n")
    slot.publish(a_set())
    try:
        slot.start(VPN_CIDR=CIDR)
        error = str(slot.wait_state("Quarantined", None)["error"])
        assert CIDR in error and "cni0" in error and "spec.vpn.cidr" in error
        assert not slot.starts()
        assert not slot.calls("ip", "route replace"), "the node's own route stays"
        (slot.fakes / "routes").write_text("default via 10.0.0.1 dev eth0\n")
        slot.wait_state("Running", a_set()["revision"])
    finally:
        slot.crash()


def test_what_runs_is_not_cut_where_a_route_comes_later(slot: Slot) -> None:
    fake_ip(slot, "")
    slot.publish(a_set("first"))
    slot.start(VPN_CIDR=CIDR)
    before = slot.wait_state("Running", a_set("first")["revision"])
    (slot.fakes / "routes").write_text(f"{CIDR} dev cni0\n")
    slot.running(a_set("second"))
    os.kill(int(str(slot.state()["pid"])), signal.SIGKILL)
    slot.wait("another start", lambda: len(slot.starts()) == 3)
    assert before["pid"] != slot.starts()[-1].pid


@pytest.mark.parametrize("device", ["/dev/null", "/nonexistent", "/etc/passwd"])
def test_what_is_no_tun_device_is_refused_with_a_sentence(slot: Slot, device: str) -> None:
    slot.publish(a_set())
    slot.start(TUN_DEVICE=device)
    error = str(slot.wait_state("Quarantined", None)["error"])
    assert error == f"{device} is no tun device (character device 10:200): see spec.vpn.tunDevice"
    assert not slot.starts()


# ------------------------------------------------------------------------------------------------- disabled and removed


def test_disabled_link_stops_but_its_revision_is_reported(slot: Slot) -> None:
    before = slot.running(a_set())
    disabled = a_set(enabled="false")
    slot.publish(disabled)
    state = slot.wait_state("Idle", disabled["revision"])
    assert (state["pid"], state["error"]) == (None, None)
    assert not alive(before["pid"])
    assert slot.calls("nft")[-1].said == "undo: take it away"
    assert len(slot.starts()) == 1
    slot.running(a_set())
    assert len(slot.starts()) == 2


def test_removed_link_idles_and_leaves_neither_keys_nor_firewall(slot: Slot) -> None:
    before = slot.running(a_set())
    slot.withdraw()
    slot.wait_state("Idle", None)
    assert not alive(before["pid"])
    assert [path.name for path in slot.run.iterdir()] == ["state.json"]
    assert slot.calls("nft")[-1].said == "undo: take it away"


# -------------------------------------------------------------------------------------------------------- dead openvpn


def test_dead_openvpn_comes_back_after_a_delay_and_says_why(slot: Slot) -> None:
    (slot.fakes / "openvpn-fails").touch()
    slot.publish(a_set())
    slot.start()
    slot.wait("a second start", lambda: len(slot.starts()) == 2)
    first, second = (call.at for call in slot.starts())
    assert second - first >= 0.9
    slot.wait("death reported", lambda: "status 7" in str(slot.state()["error"]))
    assert (slot.state()["state"], slot.state()["pid"]) == ("Starting", None)
    assert len(slot.calls("nft", "load")) >= 2, "the firewall is loaded before every start"


def test_openvpn_killed_by_hand_comes_back_from_the_same_set(slot: Slot) -> None:
    before = slot.running(a_set())
    os.kill(int(str(before["pid"])), signal.SIGKILL)
    slot.wait("a second start", lambda: len(slot.starts()) == 2)
    assert "conf=first" in slot.starts()[1].said


def test_repaired_set_does_not_wait_for_the_back_off_of_the_one_that_died(slot: Slot) -> None:
    (slot.fakes / "openvpn-fails").touch()
    slot.publish(a_set("first"))
    slot.start()
    slot.wait("the first death", lambda: "status 7" in str(slot.state().get("error")))
    (slot.fakes / "openvpn-fails").unlink()
    slot.running(a_set("second"))


def sourced(commands: str) -> str:
    """What the script's own functions say when called one by one, on a clock that needs no waiting."""
    environment = {**os.environ, "SLOT": "17", "RUN_DIR": "/nonexistent", "SUPERVISOR": str(SUPERVISOR)}
    command = ["bash", "-c", f'. "$SUPERVISOR"; log() {{ :; }}; {commands}']
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=20).stdout


def test_back_off_doubles_from_1_to_30_seconds() -> None:
    said = sourced("for i in {1..8}; do postpone died; echo $((restart_at - clock)); clock=$restart_at; done")
    assert [int(tenths) / 10 for tenths in said.split()] == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("lived", "wait"), [pytest.param(599, 160, id="59.9 s"), pytest.param(600, 10, id="60 s")])
def test_back_off_begins_anew_after_60_seconds_of_life(lived: int, wait: int) -> None:
    said = sourced(
        f"delay=160; clock=5000; started_at=$((clock - {lived})); true & pid=$!; bury; echo $((restart_at - clock))"
    )
    assert int(said) == wait


# ------------------------------------------------------------------------------------------------------------- stopping


def test_slot_that_is_asked_to_end_carries_traffic_until_its_turn(slot: Slot) -> None:
    running = slot.running(a_set(), TURN="1.5")
    assert slot.process
    asked = time.time()
    slot.process.terminate()
    slot.wait_state("Stopping", a_set()["revision"])
    assert slot.ended_with() == 0
    (term,) = slot.calls("openvpn", "term")
    assert 1.4 < term.at - asked < 1.5 + AT_ONCE
    assert not alive(running["pid"])
    assert slot.state()["pid"] is None
    assert slot.calls("nft")[-1].said == "undo: take it away"


def test_a_slot_that_is_asked_at_any_moment_hears_it(tmp_path: Path) -> None:
    """A trap that itself reads, while a read is going on, never comes back: one slot in twenty hung so."""
    slots = [Slot(folder, str(number)) for number in range(3, 23) if (folder := tmp_path / str(number)).mkdir() is None]
    try:
        for slot in slots:
            slot.start(TURN="1.3")
        for slot in slots:
            slot.wait_state("Idle", None)
        for slot in slots:
            assert slot.process
            slot.process.terminate()
        assert [slot.ended_with(AT_ONCE) for slot in slots] == [0] * len(slots)
    finally:
        for slot in slots:
            if slot.process:
                slot.process.kill()
                slot.process.wait()


@pytest.mark.parametrize(
    "said", ["", "x 251", "99999999999999 251", "1 251", "0895958240 251", "a[0] 251", "1795958240"]
)
def test_a_word_of_the_agent_that_does_not_hold_lets_no_slot_end_before_its_turn(said: str, tmp_path: Path) -> None:
    (tmp_path / EXIT_FILE).write_text(said)
    assert sourced(f"STOP_DIR={tmp_path}; SLOT=251; may_go || echo in turn") == "in turn\n"


@pytest.mark.parametrize(
    ("slots", "seconds"),
    [
        pytest.param(range(235, 252), 60, id="seventeen slots"),
        pytest.param([251] * 60, 60, id="a line without end"),
        pytest.param([251], 400, id="for longer than five minutes"),
    ],
)
def test_an_agent_that_somebody_broke_into_has_no_more_slots_end_at_once_than_the_runtime_can_take(
    slots: Iterable[int], seconds: int, tmp_path: Path
) -> None:
    (tmp_path / EXIT_FILE).write_text(f"{time.time() + seconds:.0f} {' '.join(map(str, slots))}\n")
    assert sourced(f"STOP_DIR={tmp_path}; SLOT=251; may_go || echo in turn") == "in turn\n"


def test_sixteen_slots_may_end_at_once_for_five_minutes(tmp_path: Path) -> None:
    (tmp_path / EXIT_FILE).write_text(exit_line(range(236, 252), time.time() + 299))
    assert sourced(f"STOP_DIR={tmp_path}; SLOT=251; may_go && echo at once") == "at once\n"


def test_the_agents_word_is_about_the_slots_that_it_names(tmp_path: Path) -> None:
    (tmp_path / EXIT_FILE).write_text(exit_line([2, 17, 251], time.time() + 60))
    ask = f"STOP_DIR={tmp_path}; for SLOT in 1 2 5 7 17 25 51 251; do ! may_go || echo $SLOT; done"
    assert sourced(ask).split() == ["2", "17", "251"]


def test_slot_that_is_replaced_ends_at_once(slot: Slot) -> None:
    slot.running(a_set(), TURN="60")
    (slot.stop / EXIT_FILE).write_text(exit_line([17, int(slot.number)], time.time() + 60))
    assert slot.process
    slot.process.terminate()
    assert slot.ended_with(AT_ONCE) == 0


def test_slot_that_is_asked_again_goes_on_waiting_for_its_turn(slot: Slot) -> None:
    """As by a kubelet that was restarted meanwhile: all slots of the pod would end in one moment."""
    slot.start(TURN="2")
    slot.wait_state("Idle", None)
    assert slot.process
    asked = time.time()
    slot.process.terminate()
    slot.wait_state("Stopping", None)
    slot.process.terminate()
    assert slot.ended_with() == 0
    assert time.time() - asked > 1.9


def test_sigterm_ends_an_idle_slot_in_its_turn(slot: Slot) -> None:
    slot.start()
    slot.wait_state("Idle", None)
    assert slot.process
    slot.process.terminate()
    assert slot.ended_with(AT_ONCE) == 0
    assert not slot.calls()


@pytest.mark.parametrize(("number", "guards"), [("2", True), ("3", False)])
def test_on_a_nodes_own_network_the_first_slot_closes_the_contract_port_as_long_as_it_lives(
    tmp_path: Path, number: str, guards: bool
) -> None:
    slot = Slot(tmp_path, number)
    slot.start(CONTRACT_PORT="21000")
    slot.wait_state("Idle", None)
    assert any("dport 21000 drop" in call.said for call in slot.calls("nft")) is guards
    assert slot.process
    slot.process.terminate()
    assert slot.ended_with(AT_ONCE) == 0
    assert any("delete table inet mcs_contract" in call.said for call in slot.calls("nft")) is guards


def test_what_the_first_slot_guards_for_all_it_guards_also_while_its_container_is_replaced(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "2")
    slot.start(CONTRACT_PORT="21000")
    slot.wait_state("Idle", None)
    (slot.stop / EXIT_FILE).write_text(exit_line([2], time.time() + 60))
    assert slot.process
    slot.process.terminate()
    assert slot.ended_with(AT_ONCE) == 0
    assert not any("delete table" in call.said for call in slot.calls("nft"))


def test_sigterm_ends_a_slot_in_its_turn_also_when_openvpn_does_not_listen(slot: Slot) -> None:
    running = slot.running(a_set())
    (slot.fakes / "stubborn").touch()
    assert slot.process
    slot.process.terminate()
    assert slot.ended_with(AT_ONCE) == 0
    assert not alive(running["pid"])
    assert (slot.state()["state"], slot.state()["pid"]) == ("Stopping", None)


# ------------------------------------------------------------------------------------------------- restarted containers


def test_container_that_restarts_with_the_same_set_runs_it(slot: Slot) -> None:
    before = slot.running(a_set())
    slot.crash()
    (slot.run / "openvpn.sock").touch()
    slot.start()
    slot.wait("a second start", lambda: len(slot.starts()) == 2)
    slot.wait("Running with the new process", lambda: slot.state()["pid"] == slot.starts()[-1].pid != before["pid"])
    assert not (slot.run / "openvpn.sock").exists(), "a dead socket would look like a live one"


def test_container_that_restarts_after_its_link_was_removed_clears_up(slot: Slot) -> None:
    slot.leave_good(a_set())
    slot.start()
    slot.wait_state("Idle", None)
    assert [path.name for path in slot.run.iterdir()] == ["state.json"]
    assert slot.calls("nft")[-1].said == "undo: take it away"
    assert not slot.starts()


def test_container_that_died_between_the_old_copy_and_the_new_one_takes_the_new(slot: Slot) -> None:
    slot.leave_good(a_set())
    (slot.run / "good").rename(slot.run / "good.new")
    slot.publish(a_set("second", revision="bad"))
    slot.start()
    slot.wait_state("Quarantined", a_set()["revision"])
    slot.wait("a start", slot.starts)


def test_copy_that_was_damaged_is_not_run(slot: Slot) -> None:
    slot.leave_good(a_set())
    (slot.run / "good" / "server.conf").write_text("damaged")
    slot.publish(a_set("second", revision="bad"))
    slot.start()
    slot.wait_state("Quarantined", None)
    assert not slot.starts()
    assert not (slot.run / "good").exists(), "it has keys"


@pytest.mark.skipif(
    subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs a PID namespace",
)
def test_as_pid_1_it_reaps_what_openvpn_leaves_behind(slot: Slot) -> None:
    (slot.fakes / "orphan").write_text("#!/bin/bash\nsleep 0.1\n")
    (slot.fakes / "orphan").chmod(0o755)
    script = '(orphan & orphan & orphan &) ; exec "$FAKES/openvpn.real" "$@"'
    (slot.fakes / "openvpn").rename(slot.fakes / "openvpn.real")
    (slot.fakes / "openvpn").write_text(f"#!/bin/bash\n{script}\n")
    (slot.fakes / "openvpn").chmod(0o755)
    wrapper = slot.fakes / "as-pid-1"
    wrapper.write_text(f"#!/bin/bash\nexec unshare --pid --fork --kill-child {SUPERVISOR}\n")
    wrapper.chmod(0o755)
    slot.publish(a_set())
    slot.process = subprocess.Popen(
        [wrapper],
        env={
            "PATH": f"{slot.fakes}:{os.environ['PATH']}", "FAKES": str(slot.fakes), "SLOT": "17",
            "LINK_DIR": str(slot.link), "RUN_DIR": str(slot.run), "STOP_DIR": str(slot.stop),
            "TUN_DEVICE": "",
        },
        stdout=slot.output.open("ab"), stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    slot.wait_state("Running", a_set()["revision"])
    (supervisor,) = children(slot.process.pid)
    slot.wait("only openvpn is left", lambda: len(children(supervisor)) == 1)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
