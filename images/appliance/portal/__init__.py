"""The server of the customers' portal: login, directory, presence, calls, chat and files, for all communities.

    HAProxy ──portal.sock──► web/       WHAT BROWSERS ASK   one module per part, all behind one door (web/door.py)
    gate, supervisor ──portal-inner.sock──► inner.py        WHAT OUR OWN PARTS ASK
                             portal.py  THE STORY           takes each new set, delivers what happened, keeps time
                             sessions, calls, hub, presence WHAT IS TRUE NOW (in memory; sessions and calls are kept)
                             chat, files, records, retention WHAT IS KEPT (SQLite and files on the data volume)
                             told, rights                   WHAT WE ARE TOLD, and what follows from it (pure)

What a user may do is decided here, at each request, from the set in force; pages only hide what would be refused.
Nothing foreign is believed: bodies, sockets, sets and hashes pass total functions with bounds. No name of a user, no
token and no text of theirs is logged.
"""
