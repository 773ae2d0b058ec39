"""The command line of the demo."""

from __future__ import annotations

import argparse

from mcsdemo import operator
from mcsdemo.story import Demo, clean
from mcsdemo.telling import Failed, Teller
from support import cluster

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


def main(arguments: list[str]) -> int:
    """Run the demo, or clean up after it; the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description="Two customers talk, a third is added, nobody notices.")
    parser.add_argument("what", nargs="?", choices=["run", "clean"], default="run")
    chosen = parser.parse_args(arguments)
    try:
        node = cluster.node()
        if chosen.what == "clean":
            clean(node, Teller())
            return 0
        held = Demo(node).run()
    except cluster.MissingError as missing:
        print(f"demo: {missing}")
        return 3
    except (Failed, AssertionError) as failed:
        print(f"\n   demo failed: {failed}\n   The operator's last words:\n{operator.last_words(node.kubeconfig)}")
        return 1
    except KeyboardInterrupt:
        return 130
    print(NEXT % {"ip": node.ip})
    print("   Everything that was shown held." if held else "   Something did NOT hold: see the lines with ✘.")
    return 0 if held else 1
