"""The command line of the demo."""

from __future__ import annotations

import argparse

from mcsdemo import operator
from mcsdemo.call import PORTAL
from mcsdemo.story import Demo, clean
from mcsdemo.telling import Failed, Teller
from support import cluster
from support.api import ROOT

NEXT = """
   Try next:
     eval "$(make -s cluster-env)"
     kubectl -n mcs-demo get mcs,tvl,community
     kubectl explain tvoxlink.spec
     kubectl -n mcs-demo patch tvl globex --type merge -p '{"spec":{"enabled":false}}'   # and back, with true
     curl --resolve acme.mcs.test:80:%(ip)s http://acme.mcs.test/
     kubectl -n mcs-system logs deployment/mcs-operator
     make demo-clean
"""

BROWSE = """   Look with a browser of your own, on this machine: put `%(ip)s %(portal)s` into /etc/hosts, let it trust
   %(ca)s, and open https://%(portal)s/ in two windows that share no cookies:
"""


def main(arguments: list[str]) -> int:
    """Run the demo, or clean up after it; the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description="Customers talk, others come and go, and nobody notices.")
    parser.add_argument("what", nargs="?", choices=["run", "clean"], default="run")
    chosen = parser.parse_args(arguments)
    try:
        node = cluster.node()
        if chosen.what == "clean":
            clean(node, Teller())
            return 0
        demo = Demo(node)
        held = demo.run()
    except cluster.MissingError as missing:
        print(f"demo: {missing}")
        return 3
    except (Failed, AssertionError) as failed:
        print(f"\n   demo failed: {failed}\n   The operator's last words:\n{operator.last_words(node.kubeconfig)}")
        return 1
    except KeyboardInterrupt:
        return 130
    print(NEXT % {"ip": node.ip})
    if demo.logins:
        print(BROWSE % {"ip": node.ip, "portal": PORTAL, "ca": demo.logins.ca.relative_to(ROOT)})
        for user, password in demo.logins.passwords.items():
            print(f"     {user}: {password}")
        print()
    print("   Everything that was shown held." if held else "   Something did NOT hold: see the lines with ✘.")
    return 0 if held else 1
