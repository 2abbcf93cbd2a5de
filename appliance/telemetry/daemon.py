"""The telemetry daemon of a box, in the management zone: records and state to the controller, ``/metrics`` to Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from appliance.runtime import config as configuration
from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from appliance.runtime.service import Service
from appliance.telemetry import exposition, figures, listings, orders, registered, status, witnessing
from appliance.telemetry.mqtt import Connected, Connection, Lost, Message
from appliance.telemetry.outbox import Outbox, fitting
from appliance.telemetry.records import batch, parse_acknowledgement, plain_json
from appliance.telemetry.served import BoxServed, served
from appliance.telemetry.session import Publish, Session, Told, asks_rebirth
from appliance.telemetry.settings import Telemetry
from appliance.telemetry.sparkplug import STATE_TOPIC, decode, encode, topic
from appliance.telemetry.spool import Depth, Spool
from appliance.telemetry.witnessing import Asked

log = logging.getLogger("headgate.telemetry")


def _software() -> str:
    """Return our version, and on a box the digest of what is installed (``/opt/headgate/versions/DIGEST/lib/...``)."""
    version, place = importlib.metadata.version("headgate"), Path(__file__).resolve().parents
    return f"{version}+{place[3].name[:12]}" if len(place) > 4 and place[4].name == "versions" else version


SOFTWARE = _software()
DELIVERED = {"bytes": "headgate_delivery_bytes_total", "requests": "headgate_delivery_requests_total"}


def check(config: Path, zone: str | None) -> Telemetry:
    """Return the settings at ``config``.

    Raises:
        ConfigError: the file is wrong; holds all faults.
    """
    return configuration.load(config, Telemetry)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Report until asked to stop."""
    settings = check(config, zone)
    spool = await asyncio.to_thread(Spool, settings.spool)
    reporter = Reporter(settings, spool)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(spool.close)
        if settings.metrics is not None:
            address = (settings.metrics.address, settings.metrics.port)
            await stack.enter_async_context(http.serving(figures.application(reporter), tcp=[address]))
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(reporter.connection.run()),
                tasks.create_task(reporter.listen()),
                tasks.create_task(reporter.report()),
                tasks.create_task(reporter.send_records()),
                tasks.create_task(reporter.courier.run()),
                tasks.create_task(reporter.carrier.run()),
                tasks.create_task(reporter.messenger.run()),
            ]
            service.ready()
            await service.stopped()
            for task in running:
                task.cancel()


class Reporter:
    """Carries out what ``session.py`` and ``outbox.py`` decide, on one connection."""

    def __init__(self, settings: Telemetry, spool: Spool) -> None:
        self.settings, self.spool = settings, spool
        self.started = time.time()
        self.session = Session.start(self.started)
        self.outbox = Outbox()
        self.gathered = exposition.Gathered({}, {})
        self.depth = Depth(0, 0, None)
        self._served = BoxServed()  # as it was told last
        self._served_next = 0.0  # when it is told anew, on the monotonic clock
        self.acknowledged = 0
        self.damaged = 0  # messages to us that could not be read
        self.connection = Connection(
            settings.broker,
            f"headgate-{settings.site}",
            will=self._will,
            topics=[
                (topic("NCMD", settings.site), 0),
                (f"headgate/v1/{settings.site}/ack", 1),
                (f"headgate/v1/{settings.site}/witness", 1),
                (f"headgate/v1/{settings.site}/orders", 1),
                (f"headgate/v1/{settings.site}/listed", 1),
                (f"headgate/v1/{settings.site}/registrations", 1),
                (STATE_TOPIC, 1),
            ],
        )
        exchange = settings.run / "exchange" / "telemetry-management" / "exchange.sock"
        self.courier = orders.Courier(exchange, self._publish_proof)
        self.carrier = listings.Carrier(exchange, self._publish_listing)
        self.messenger = registered.Messenger(exchange)
        self._born = False
        self._more = asyncio.Event()  # something to send may be there: looks again before its time

    def _will(self) -> Message:
        self.session, death = self.session.connect(time.time())
        self._born = False
        return Message(topic("NDEATH", self.settings.site), encode(death), qos=1)

    async def listen(self) -> None:
        """Act on what the connection tells, for ever."""
        while True:
            event = await self.connection.events.get()
            try:
                match event:
                    case Connected():
                        self.outbox = Outbox()
                        self._more.set()
                        self.courier.line(stands=True)
                        self.carrier.line()
                        await self.birth()
                    case Lost():
                        self._born = False
                        self.courier.line(stands=False)
                    case Message():
                        await self._message(event)
            except Corrupt as error:
                self.damaged += 1
                log.warning("a message on %s is passed over: %s", getattr(event, "topic", "?"), error)
            except (Unreachable, Refused) as error:  # Lost follows; or the disk is full and the records stay for now
                log.warning("%s", error)

    async def _message(self, message: Message) -> None:
        if message.topic.endswith("/ack"):
            ids = parse_acknowledgement(message.payload)
            self.acknowledged += await asyncio.to_thread(self.spool.forget, ids)
            self.outbox = self.outbox.acknowledged(ids)
            self._more.set()
        elif message.topic.endswith("/orders"):
            self.courier.take(orders.parse(message.payload))
        elif message.topic.endswith("/listed"):
            self.carrier.take(listings.parse(message.payload))
        elif message.topic.endswith("/registrations"):
            self.messenger.take(registered.parse(message.payload))
        elif message.topic.endswith("/witness"):
            try:
                await asyncio.to_thread(witnessing.keep_answer, self.settings.run, message.payload)
            except OSError as error:
                log.error("a witness's answer cannot be kept: %s", error)
        elif message.topic == STATE_TOPIC:
            # A controller that comes up knows nothing of us yet: tell it all, rather than wait to be asked.
            told = plain_json(message.payload)
            if isinstance(told, dict) and told.get("online") is True and not message.retain:
                self.carrier.line()
                await self.birth()
        elif asks_rebirth(decode(message.payload)):
            await self.birth()

    async def birth(self) -> None:
        """Publish all there is to know."""
        told = await self._look()
        self.session, message = self.session.birth(told, time.time())
        self._publish(message)
        self._born = True

    async def report(self) -> None:
        """Publish what changed, every few seconds, for ever."""
        while True:
            try:
                told = await self._look()
                if self._born:
                    self.session, message = self.session.changes(told, time.time())
                    if message is not None:
                        self._publish(message)
            except Unreachable as error:  # the next birth tells it
                log.info("%s", error)
            await asyncio.sleep(self.settings.report)

    def _publish(self, message: Publish) -> None:
        self.connection.publish(Message(topic(message.kind, self.settings.site), encode(message.payload)))

    def _publish_proof(self, payload: bytes) -> None:
        try:
            self.connection.publish(Message(f"headgate/v1/{self.settings.site}/proofs", payload, qos=1))
        except Unreachable as error:  # the controller asks again for what it lacks
            log.info("a proof is not sent now: %s", error)

    def _publish_listing(self, payload: bytes) -> None:
        try:
            self.connection.publish(Message(f"headgate/v1/{self.settings.site}/listings", payload, qos=1))
        except Unreachable as error:  # it is sent again
            log.info("a listing is not sent now: %s", error)

    async def _look(self) -> list[Told]:
        told, self.gathered, self.depth, asked = await asyncio.to_thread(self._read)
        totals = {name: exposition.total(self.gathered.units, metric) for name, metric in DELIVERED.items()}
        # Its texts change with every request: told less often than the rest.
        if (now := time.monotonic()) >= self._served_next:
            self._served, self._served_next = served(self.gathered), now + self.settings.figures
        uptime = (time.time() - self.started) // self.settings.heartbeat * self.settings.heartbeat
        return status.metrics(
            self.settings.site, SOFTWARE, uptime, told, self.depth, totals, asked, self.courier.serial, self._served
        )

    def _read(self) -> tuple[status.Status, exposition.Gathered, Depth, Mapping[str, Asked]]:
        try:
            told = status.parse_status(exposition.read_plain(self.settings.status, status.LARGEST))
            told = status.believed(told, time.time() - self.settings.status.stat().st_mtime)
        except FileNotFoundError:
            told = status.Status()
        except (Corrupt, OSError) as error:
            told = status.Status(faults=(f"the guard's status cannot be read: {error}",))
        asked = witnessing.read_asked(self.settings.run)
        return told, exposition.gather(self.settings.units), self.spool.state(), asked

    async def send_records(self) -> None:
        """Send what waits in the spool, and again what is not acknowledged in time, for ever."""
        while True:
            self._more.clear()
            try:
                if self.connection.connected and await self._send():
                    continue
            except (Unreachable, Refused) as error:
                log.warning("records wait: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.records):
                    await self._more.wait()

    async def _send(self) -> bool:
        """Send one batch; return whether there may be more to send."""
        if self.outbox.overdue(time.monotonic(), self.settings.patience):
            log.warning("%d records are not acknowledged in time and are sent again", len(self.outbox.flying))
            self.outbox = Outbox()
        room = self.outbox.room()
        if not room:
            return False
        items = fitting(await asyncio.to_thread(self.spool.pending, self.outbox.after, room))
        if not items:
            return False
        self.connection.publish(Message(f"headgate/v1/{self.settings.site}/records", batch(items), qos=1))
        self.outbox = self.outbox.sent(items, time.monotonic())
        return True
