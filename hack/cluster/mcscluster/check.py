"""`cluster check`: tries what the operator will rely on, with a pod of its own in a namespace of its own."""

from __future__ import annotations

import http.client
import json
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import environment, kindcluster, node, packages, settings
from .runtime import write_archive
from .shell import ClusterError, run, wait_until

IMAGE = "localhost/mcs-check:dev"
HOST_PORT = 28080
PAGE = "the page of the check"
NOBODY = 65534


class Check:
    """One run. Every method `tries_...` is a step; it raises when the cluster falls short."""

    def __init__(self) -> None:
        self._env = environment.of_cluster()
        self._kubectl = _program_of(self._env, "kubectl")
        self.namespace = f"cluster-check-{secrets.token_hex(3)}"
        self._node_ip = self._env["MCS_NODE_IP"]
        self._own = not kindcluster.known()

    def prepare(self) -> None:
        """Image, namespace, and the objects that the steps look at."""
        packages.install(packages.FOR_CHECK)
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            _write_image(Path(file.name))
            (node.require().runtime.load if self._own else kindcluster.load)(Path(file.name))
        self.kubectl("create", "namespace", self.namespace)
        wait_until("its service account", lambda: "default" in self.kubectl("get", "serviceaccounts"), 30, pause=0.5)
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": _objects()}))

    def clean(self) -> None:
        """Remove the namespace and all in it."""
        self.kubectl("delete", "namespace", self.namespace, "--timeout=120s", limit=150)

    def kubectl(self, *arguments: str, stdin: str | None = None, limit: float = 90) -> str:
        target = ("--kubeconfig", self._env["KUBECONFIG"], "--namespace", self.namespace)
        return run(self._kubectl, *target, *arguments, stdin=stdin, limit=limit)

    def shell(self, script: str) -> str:
        """Output of a script in the pod, both channels, whatever its exit code."""
        return self.kubectl("exec", "web", "--", "sh", "-c", f"({script}) 2>&1; true")

    def tries_a_pod_with_a_volume(self) -> None:
        self.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
        _expect("Bound", self.kubectl("get", "pvc", "data", "-o", "jsonpath={.status.phase}"))

    def tries_exec_and_logs(self) -> None:
        _expect(str(NOBODY), self.shell("id -u"))
        _expect("started", self.kubectl("logs", "web"))

    def tries_the_volume_as_a_normal_user(self) -> None:
        _expect("kept", self.shell("echo kept > /data/file && cat /data/file"))

    def tries_a_host_port(self) -> None:
        connection = http.client.HTTPConnection(self._node_ip, HOST_PORT, timeout=5)
        connection.request("GET", "/")
        _expect(PAGE, connection.getresponse().read().decode())

    def tries_a_host_port_from_the_pod_that_has_it(self) -> None:
        _expect(PAGE, self._http(self._node_ip, HOST_PORT))

    def tries_a_service_from_a_pod(self) -> None:
        _expect(PAGE, self._http(self.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"), 80))

    def tries_the_api_server_from_a_pod(self) -> None:
        # The answer of a TLS server to plain HTTP: a mere connect proves nothing behind some gateways.
        _expect("HTTPS server", self._http(settings.API_SERVICE_IP, 443))

    def tries_dns_of_the_test_zone_from_a_pod(self) -> None:
        _expect(self._node_ip, self.shell(f"nslookup -type=a some.name.{settings.TEST_ZONE} | grep -A1 Name"))

    def tries_dns_of_a_service_from_a_pod(self) -> None:
        address = self.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
        name = f"web.{self.namespace}.svc.cluster.local"
        wait_until(name, lambda: address in self.shell(f"nslookup -type=a {name}"), 10, pause=0.5)

    def tries_that_nothing_leaves_the_machine(self) -> None:
        if self._own:
            _expect("NXDOMAIN", self.shell("nslookup -type=a somewhere.example.com"))
            # An address for documentation: nobody's, and not on this machine's bridges.
            _expect("refused", self.shell("nc -w 2 198.51.100.1 80 </dev/null && echo open || echo refused"))

    def tries_a_tun_device(self) -> None:
        self.kubectl("wait", "--for=condition=Ready", "pod/tun", "--timeout=60s")
        _expect("link-017", self.kubectl("exec", "tun", "--", "ip", "link", "show", "link-017"))

    def tries_a_secret_update_after_a_poke(self) -> None:
        fresh = secrets.token_hex(8)
        self.kubectl("patch", "secret", "slot", "--patch", json.dumps({"stringData": {"revision": fresh}}))
        self.kubectl("annotate", "pod", "web", f"poke={fresh}")
        wait_until("the new content", lambda: fresh in self.shell("cat /slot/revision"), 8)

    def tries_a_volume_that_grows(self) -> None:
        if self._own:
            size = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
            self.kubectl("patch", "pvc", "data", "--patch", json.dumps(size))
            path = "jsonpath={.status.capacity.storage}"
            wait_until("2Gi", lambda: self.kubectl("get", "pvc", "data", "-o", path) == "2Gi", 10, pause=0.3)

    def tries_that_a_deleted_claim_takes_its_volume_along(self) -> None:
        volume = self.kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
        self.kubectl("delete", "pod", "web", "tun", "--grace-period=1")
        self.kubectl("delete", "pvc", "data")
        wait_until("its end", lambda: volume not in self.kubectl("get", "pv", "-o", "name"), 60, pause=0.5)
        _expect("False", str((settings.node_dir() / "volumes" / volume).exists()))

    def _http(self, address: str, port: int) -> str:
        return self.shell(f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} {port}")


def run_all() -> int:
    """Print a line per step and the count; 0 when every step passed."""
    check = Check()
    passed = failed = 0
    try:
        check.prepare()
        steps = [name for name in vars(Check) if name.startswith("tries_")]
        for name in steps:
            problem, seconds = _attempt(getattr(check, name))
            passed, failed = passed + (not problem), failed + bool(problem)
            print(f"{'FAILED' if problem else 'ok':<7} {seconds:5.1f} s  {name.replace('_', ' ')}{problem}", flush=True)
    finally:
        check.clean()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _attempt(step: Callable[[], None]) -> tuple[str, float]:
    started = time.monotonic()
    try:
        step()
    except (ClusterError, OSError, LookupError, subprocess.SubprocessError) as error:
        return f": {error}", time.monotonic() - started
    return "", time.monotonic() - started


def _expect(wanted: str, seen: str) -> None:
    if wanted not in seen:
        raise ClusterError(f"expected {wanted!r}, saw {seen.strip()!r}")


def _program_of(env: dict[str, str], program: str) -> Path:
    """A program from the folders that `cluster env` adds to PATH."""
    return next(Path(folder) / program for folder in env["PATH"].split(":") if (Path(folder) / program).exists())


def _write_image(archive: Path) -> None:
    busybox = packages.FOR_CHECK["busybox-static"]
    applets = run(busybox, "--list").split()
    links = {f"bin/{name}": "busybox" for name in applets if name != "busybox"}
    write_archive(archive, IMAGE, {"bin/busybox": busybox.read_bytes()}, ["/bin/sh"], links)


def _objects() -> list[dict[str, object]]:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slot"}, "stringData": {"revision": "first"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        _web_pod(),
        _tun_pod(),
    ]


def _web_pod() -> dict[str, object]:
    serve = f"mkdir /tmp/www; echo '{PAGE}' > /tmp/www/index.html; echo started; exec httpd -f -p 8080 -h /tmp/www"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsUser": NOBODY, "runAsGroup": NOBODY, "fsGroup": NOBODY},
            "containers": [
                {
                    "name": "web",
                    "image": IMAGE,
                    "command": ["/bin/sh", "-c", serve],
                    "ports": [{"containerPort": 8080, "hostPort": HOST_PORT}],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/data"},
                        {"name": "slot", "mountPath": "/slot", "readOnly": True},
                        {"name": "tmp", "mountPath": "/tmp"},
                    ],
                }
            ],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "slot", "secret": {"secretName": "slot"}},
                {"name": "tmp", "emptyDir": {"medium": "Memory"}},
            ],
        },
    }


def _tun_pod() -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "tun"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "tun",
                    "image": IMAGE,
                    "command": ["/bin/sh", "-c", "tunctl -t link-017 && exec sleep 3600"],
                    "securityContext": {
                        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
                        "allowPrivilegeEscalation": False,
                    },
                    "volumeMounts": [{"name": "tun", "mountPath": "/dev/net/tun"}],
                }
            ],
            "volumes": [{"name": "tun", "hostPath": {"path": "/dev/net/tun", "type": "CharDevice"}}],
        },
    }
