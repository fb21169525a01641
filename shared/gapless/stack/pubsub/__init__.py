"""Pub/Sub for a machine without Java: Google's protocol, so that Google's own client speaks to it as it is.

`python -m gapless.stack.pubsub --port N` serves gRPC and REST on one port, as the official emulator does.

    backlog    what one subscription has not had acknowledged, and when each message is due: pure
    broker     topics, subscriptions, dead letters
    pusher     delivers to the addresses of push subscriptions
    service    the methods of `google.pubsub.v1` that the stack uses; anything else is UNIMPLEMENTED
    front      the port: gRPC and REST

Everything is in memory, as with the official emulator: what ends with the process is found by the next scan.
"""
