"""The link agent: the one client of every slot's OpenVPN, and the truth about tunnels.

A container of the media pod, beside the slots it watches. It knows nothing of Kubernetes and decides nothing: it reads,
and reports to whoever holds the token (the operator by long poll, Prometheus by scraping).

    state.json of each slot ──► slots ──┐
    OpenVPN's management sockets ──► management ──► tunnel (pure) ──► board ──► server ──► operator, Prometheus
    TCP connects into the tunnels ──► rtt ──────────────────────────────┘ (metrics only)
    the appliance on loopback ──► media ────────────────────────────────┘
"""
