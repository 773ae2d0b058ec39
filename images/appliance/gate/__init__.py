"""The gate: what browsers say to the media server passes through here, and nothing else of theirs reaches it.

served reads who is served; functions says what a user may send, sdp reads what a session description sends, signalling
reads and writes the messages: all of them pure. rooms gives the media server its orders, portal asks who is in a call;
participants are those who are in one; line carries one browser's connection; gate ties them together, and server
answers. No token ever leaves: the gate mints one for each connection and uses it itself.
"""
