"""WHO GETS WHAT: the rules, each of which both admission and the reconciler go by."""
