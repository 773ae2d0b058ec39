"""Customer sites: a stand-in TVox in a pod of its own, elsewhere as far as the MCS can tell."""

from __future__ import annotations

import base64
import http.client
import json
import time
from typing import Any

from support.api import Api, Object
from support.waiting import until

IMAGE = "localhost/mcs/tvox:dev"


def profile_of(api: Api, link: str, timeout: float = 30) -> str:
    """The OpenVPN profile that the operator made for a link, as a person would download it."""

    def look() -> str:
        secret = api.find("Secret", f"{link}-profile") or {}
        return base64.b64decode(secret.get("data", {}).get(f"{link}.ovpn", "")).decode()

    return until(f"the profile of {link}", look, timeout)


class Site:
    """One customer's place: a pod `tvox-<name>` that dials in with a profile and answers on 80/tcp and 7/udp."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.name = name
        self.pod = f"tvox-{name}"

    def install(self, profile: str) -> None:
        """Upload a profile, as at a visit, and wait until the TVox takes it. One that is off, that does not answer, or
        that has this profile already is replaced by a new one, which is not waited for."""
        metadata = {"name": self.pod, "labels": {"app.kubernetes.io/name": "tvox"}}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"profile.ovpn": profile}}
        starts = 0 if self.runs_with(profile) else self._starts()
        if starts:
            self.api.apply(secret)
            until(f"the TVox of {self.name} dials anew", lambda: self._looked_again() > starts, 30, pause=0.3)
        else:
            self.remove()
            self.api.apply(secret)
            self.api.create(_pod(metadata, self.name))

    def _starts(self) -> int:
        """How often it has dialled in its life; 0 where it is off, or does not answer."""
        return int(self._tunnel().get("starts", 0))

    def _looked_again(self) -> int:
        """The same, after the kubelet was made to look at the pod, and so at its Secret: it would, in a minute."""
        self.api.annotate("Pod", self.pod, poke=str(time.time()))
        return self._starts()

    def runs_with(self, profile: str) -> bool:
        """Whether the TVox is there, with this profile."""
        pod, secret = self.api.find("Pod", self.pod), self.api.find("Secret", self.pod)
        there = pod is not None and pod["status"].get("phase") == "Running"
        return there and secret is not None and base64.b64decode(secret["data"]["profile.ovpn"]).decode() == profile

    def is_established(self) -> bool:
        """Whether the TVox itself says that its tunnel is up."""
        return bool(self._tunnel().get("established"))

    def _tunnel(self) -> Object:
        """What it says about its client; nothing where it does not answer."""
        page = get_inside(self.api, self.pod, "http://127.0.0.1/", container="tvox", check=False)
        return page["tunnel"] if isinstance(page, dict) else {}

    def address(self) -> str:
        """Of its pod, once the kubelet has told it: the tunnel may well be up before."""
        return until(f"the TVox of {self.name} has an address", self._told_address, 30)

    def _told_address(self) -> str:
        address: str = self.api.get("Pod", self.pod)["status"].get("podIP", "")
        return address

    def pull_the_plug(self) -> None:
        """The client dies without a word to the MCS."""
        program = (
            "import os, pathlib\n"
            "for at in pathlib.Path('/proc').glob('[0-9]*/comm'):\n"
            "    if at.read_text().strip() == 'openvpn': os.kill(int(at.parent.name), 9)"
        )
        self.api.kubectl("exec", self.pod, "--", "python3", "-c", program)

    def remove(self) -> None:
        """Switch off, and wait until it is: a TVox that is only said to be gone would talk on for a while. A second is
        enough for its OpenVPN to say goodbye."""
        self.api.kubectl("delete", "pod", self.pod, "--ignore-not-found", "--grace-period=1", timeout=60)

    def log(self) -> str:
        """What the TVox said."""
        return self.api.kubectl("logs", self.pod, check=False)


def get_from(address: str, host: str, path: str = "/", port: int = 80, timeout: float = 5) -> tuple[int, Any]:
    """A web request from outside: status and parsed body (text, where it is no JSON); status 0 without an answer."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        raw = response.read().decode(errors="replace")
        return response.status, _parsed(raw)
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def get_inside(
    api: Api, pod: str, url: str, container: str = "media", *, check: bool = True, patience: float = 5
) -> Any:
    """A web request from a container of a pod; the parsed body, or a text that tells the failure.

    ``check``: a container that cannot be entered is an error. ``patience``: seconds that an answer may take.
    """
    program = (
        "import sys, urllib.request as r\n"
        "open_ = r.build_opener(r.ProxyHandler({})).open\n"
        "try: print(open_(sys.argv[1], timeout=float(sys.argv[2])).read().decode())\n"
        "except Exception as error: print('failed:', error)"
    )
    command = ("python3", "-c", program, url, str(patience))
    return _parsed(api.kubectl("exec", pod, "-c", container, "--", *command, check=check))


def _parsed(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def _pod(metadata: Object, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 2,
            "containers": [
                {
                    "name": "tvox",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "env": [{"name": "TVOX_NAME", "value": name}],
                    # A customer's machine is elsewhere: what keeps this node busy must not starve it.
                    "resources": {"requests": {"cpu": "200m", "memory": "32Mi"}},
                    "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_BIND_SERVICE"]}},
                    "volumeMounts": [
                        {"name": "profile", "mountPath": "/etc/tvox", "readOnly": True},
                        {"name": "tun", "mountPath": "/dev/net/tun"},
                    ],
                }
            ],
            "volumes": [
                {"name": "profile", "secret": {"secretName": metadata["name"]}},
                {"name": "tun", "hostPath": {"path": "/dev/net/tun", "type": "CharDevice"}},
            ],
        },
    }
