"""python -m gapless.stack.pubsub --port N"""

from __future__ import annotations

import signal
import threading

import click

from gapless.logs import Log
from gapless.stack.pubsub import pusher
from gapless.stack.pubsub.broker import Broker
from gapless.stack.pubsub.front import Front
from gapless.stack.pubsub.service import Service


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True, help="For gRPC and for REST.")
def main(host: str, port: int) -> None:
    """Pub/Sub in memory, for Google's own clients: set PUBSUB_EMULATOR_HOST to its address."""
    log = Log("pubsub")
    broker = Broker(log)
    service = Service(broker, lambda subscription: pusher.start(broker, subscription, log))
    with Front(host, port, service.methods()) as front:
        # `shutdown` waits for the loop that a signal has interrupted, so it is not for the signal's own thread
        end = lambda *_: threading.Thread(target=front.shutdown).start()  # noqa: E731
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        log("started", f"Pub/Sub at {host}:{port}")
        front.serve_forever(poll_interval=0.2)
    log("stopped", f"{broker.undelivered()} messages that were not acknowledged are gone")


if __name__ == "__main__":
    main()
