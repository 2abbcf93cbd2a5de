"""What the controller does with what the boxes say: state into memory and database, records into the database, then acknowledged."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from appliance.runtime.errors import Corrupt, Unreachable
from appliance.telemetry import sparkplug
from appliance.telemetry.mqtt import Connected, Connection, Lost, Message
from appliance.telemetry.records import acknowledgement, read_time, to_json, written
from appliance.telemetry.session import milliseconds
from appliance.telemetry.sparkplug import Datatype, Metric, Payload, Value, topic
from appliance.telemetry.witnessing import Answer
from monitoring import fleet
from monitoring.overview import Overview, Standing, overview, standing, wanted_of
from provisioning.controller import ingest, listings, witness
from provisioning.controller.figures import Figures
from provisioning.controller.journals import Journals
from provisioning.controller.orders import TOGETHER as ORDERS_TOGETHER
from provisioning.controller.orders import Orders, parse_report
from provisioning.controller.registrations import Registrations
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store
from provisioning.controller.trust import Keeper
from provisioning.controller.wanted import Wanted
from provisioning.registry.publication import Publication

log = logging.getLogger("headgate.controller")

TOGETHER = 64  # messages taken up at once: their records share a commit
REFUSALS = 20  # shown on the page
SHOWN_FOR = 0.5  # seconds for which one look into the database answers everybody
AGAIN = 5.0  # seconds until an order that was not proved is sent again
AGAIN_REFUSED = 60.0  # seconds until it is sent again to a box that refused it
TICK = 1.0  # seconds between two looks at clock and folder


class Hub:
    """The controller's state; ``version`` counts its changes, for pages that follow it."""

    def __init__(self, settings: Controller, store: Store, journals: Journals, wanted: Wanted, orders: Orders) -> None:
        self.settings, self.store, self.journals, self.orders = settings, store, journals, orders
        self.figures = Figures(store)
        self._given: dict[str, tuple[int, float]] = {}  # box -> the last order that it was sent, and when
        self._unjudged: dict[tuple[str, str], tuple[str, str]] = {}  # checkpoints, while the database is away
        self.boxes: dict[str, fleet.Box] = {}
        self.standings: dict[str, Standing] = {}
        self.asked: dict[str, str] = {}
        self.version = 0
        self.damaged = 0  # messages that nobody could read
        self.wanted = wanted
        self.trust: Keeper | None = None  # where the settings have 'trust:'
        self.registry: Publication | None = None  # where they have 'registry:'
        self.registrations: Registrations | None = None  # where they have 'registry:'
        self._changed = asyncio.Condition()
        self._shown: tuple[int, Overview] | None = None
        self._state_time = 0  # of this connection's STATE, in milliseconds
        state = f"{sparkplug.NAMESPACE}/{sparkplug.GROUP}"
        self.connection = Connection(
            settings.broker,
            f"headgate-{settings.name}",
            will=self._will,
            topics=[
                (f"{state}/NBIRTH/+", 0),
                (f"{state}/NDATA/+", 0),
                (f"{state}/NDEATH/+", 1),
                ("headgate/v1/+/records", 1),
                ("headgate/v1/+/proofs", 1),
                ("headgate/v1/+/listings", 1),
            ],
        )

    async def start(self) -> None:
        """Open the database and take up what is known from before.

        Raises:
            Unreachable: the database is away.
        """
        await self.store.open()
        await self.orders.open()
        for known in await self.store.known():
            seen = read_time(known.last_seen).timestamp()
            # Nobody is online until heard: our own absence hid the wills.
            self.boxes[known.site] = fleet.Box(known.site, seen=seen, changed=seen, metrics=known.metrics)
            since = read_time(known.agreement_since).timestamp() if known.agreement_since else 0.0
            self.standings[known.site] = Standing(known.agreement, since)  # type: ignore[arg-type]
        self.asked = self.wanted.read()

    async def listen(self) -> None:
        """Take up what comes from the broker, for ever."""
        events = self.connection.events
        while True:
            taken = [await events.get()]
            while len(taken) < TOGETHER and not events.empty():
                taken.append(events.get_nowait())
            deliveries: list[ingest.Delivery] = []
            for event in taken:
                match event:
                    case Connected():
                        self._publish(sparkplug.STATE_TOPIC, self._state(online=True), qos=1, retain=True)
                        await self._bump()
                    case Lost():
                        await self._bump()
                    case Message():
                        await self._message(event, deliveries)
            if deliveries:
                await self._store(deliveries)

    async def watch(self) -> None:
        """Notice what time and the operator's folder change, for ever."""
        while True:
            now = time.time()
            asked = await asyncio.to_thread(self.wanted.read)
            changed = asked != self.asked
            self.asked = asked
            for site, box in list(self.boxes.items()):
                after = fleet.unheard(box, now, self.settings.silence)
                if after is not box:
                    self.boxes[site], changed = after, True
                    log.warning("%s was not heard for %g s and counts as offline", site, self.settings.silence)
                if self._judge(site, now):
                    changed = True
                    with contextlib.suppress(Unreachable):  # kept with the box's next word
                        await self._remember(site, {}, whole=False, now=now)
            with contextlib.suppress(Unreachable):  # at the next tick
                changed |= await self.orders.look()
                for site in self.connected():
                    await self._give_orders(site)
            for (site, name), (key, request) in list(self._unjudged.items()):
                await self._witness(site, name, key, request)
            if changed:
                await self._bump()
            await asyncio.sleep(TICK)

    async def overview(self) -> Overview:
        """Return everything there is to show.

        Raises:
            Unreachable: the database is away.
        """
        now = time.time()
        if self._shown is not None and self._shown[0] == self.version and now - self._shown[1].now < SHOWN_FOR:
            return self._shown[1]
        version = self.version
        usage, counts = await self.store.usage(), await self.store.record_counts()
        shown = Overview(
            now,
            overview(self.boxes, self.asked, self.standings, usage, counts, now, await self.journals.views()),
            tuple(await self.store.refusals(REFUSALS)),
            await self.store.reasons(),
            self.connection.connected,
            await self.store.identifiers() if self.settings.registry else None,
            self.orders.head,
            {site: max(0, self.orders.head - self.orders.proved.get(site, 0)) for site in self.connected()},
            await self.store.events(),
        )
        self._shown = (version, shown)
        return shown

    def told(self, site: str) -> tuple[bool, int]:
        """Return what changes whenever there is something new of a box's screens: whether it is connected, how often it told."""
        return site in self.boxes and self.boxes[site].online, self.figures.tellings(site)

    async def look_again(self, site: str) -> None:
        """Judge the checkpoints that ``site`` told last once more."""
        metrics = self.boxes[site].metrics if site in self.boxes else {}
        for name, key, request in witness.asked_in(metrics, metrics):
            await self._witness(site, name, key, request)

    def connected(self) -> list[str]:
        """Return the boxes that are connected now."""
        return sorted(site for site, box in self.boxes.items() if box.online)

    async def give_order(self, envelope: bytes) -> int:
        """Take an order and hand it to every connected box at once; return its serial.

        Raises:
            Refused: it is not taken.
            Unreachable: the database is away.
        """
        order = await self.orders.give(envelope, datetime.now(UTC))
        log.warning("order %d of %s: %s %s (%s)", order.serial, order.by, order.act, order.what, order.reason)
        for site in self.connected():
            await self._give_orders(site)
        await self._bump()
        return order.serial

    async def _give_orders(self, site: str, *, born: bool = False) -> None:
        """Send a box the orders that it did not prove, once and again after a while; one that was just born is told in any case."""
        proved, head = self.orders.proved.get(site, 0), self.orders.head
        given, when = self._given.get(site, (0, 0.0))
        now = time.monotonic()
        if not born:
            again = now - when >= (AGAIN_REFUSED if site in self.orders.faults else AGAIN)
            if proved >= head or (
                given > proved and not again and (given >= head or given - proved >= ORDERS_TOGETHER)
            ):
                return
            proved = proved if again else max(proved, given)
        envelopes, last = await self.orders.after(proved)
        self._given[site] = (last, now)
        self._publish(f"headgate/v1/{site}/orders", to_json({"head": head, "orders": envelopes}), qos=1)

    async def _prove(self, site: str, payload: bytes) -> None:
        new = await self.orders.report(site, parse_report(payload), datetime.now(UTC))
        if new:
            await self._give_orders(site)
        await self._bump()

    async def _list(self, site: str, payload: bytes) -> None:
        brought = listings.parse(payload)
        if self.trust is None:
            log.warning("%s brings %s, and no settings of this controller say 'trust:'", site, brought.name.file)
            return
        if (answer := await listings.take(self.trust, site, brought)) is not None:
            self._publish(f"headgate/v1/{site}/listed", answer, qos=1)

    def answer_registration(self, site: str, payload: bytes) -> None:
        """Tell a box what became of a registration that it handed in."""
        self._publish(f"headgate/v1/{site}/registrations", payload, qos=1)

    async def next_version(self, after: int) -> int:
        """Wait until the state changed since version ``after`` and return its version."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.version != after)
            return self.version

    async def _bump(self) -> None:
        async with self._changed:
            self.version += 1
            self._changed.notify_all()

    async def _message(self, message: Message, deliveries: list[ingest.Delivery]) -> None:
        try:
            who = ingest.sender(message.topic)
            if isinstance(who, str):
                deliveries.append(ingest.delivery(who, message.payload))
            elif isinstance(who, ingest.Prover):
                await self._prove(who.box, message.payload)
            elif isinstance(who, ingest.Lister):
                await self._list(who.box, message.payload)
            else:
                await self._hear(who, sparkplug.decode(message.payload))
        except Corrupt as error:
            self.damaged += 1
            log.warning("a message on %s is passed over: %s", message.topic[:120], error)
        except Unreachable as error:
            log.error("%s", error)

    async def _store(self, deliveries: list[ingest.Delivery]) -> None:
        try:
            new = await self.store.save(deliveries, _stamp(time.time()))
        except Unreachable as error:
            log.error("%d messages of records are not stored and not acknowledged: %s", len(deliveries), error)
            return
        for delivery in deliveries:
            if delivery.ids:
                self._publish(f"headgate/v1/{delivery.box}/ack", acknowledgement(delivery.ids), qos=1)
        if new:
            if self.registrations is not None:
                self.registrations.look()
            await self._bump()

    async def _hear(self, who: ingest.State, payload: Payload) -> None:
        now = time.time()
        if who.box not in self.boxes and len(self.boxes) >= fleet.MOST_BOXES:
            raise Corrupt(f"more than {fleet.MOST_BOXES} boxes")
        before = self.boxes.get(who.box, fleet.Box(who.box))
        heard = fleet.hear(before, who.kind, payload, now)
        if heard.box is before:
            return
        self.boxes[who.box] = heard.box
        if before.online != heard.box.online:
            log.info("%s is %s", who.box, "online" if heard.box.online else "offline")
        if heard.ask_birth:
            asks = Metric(sparkplug.REBIRTH, value=True, datatype=Datatype.BOOLEAN, time=milliseconds(now))
            payload = Payload((asks,), milliseconds(now))
            self._publish(topic("NCMD", who.box), sparkplug.encode(payload))
        self._judge(who.box, now)
        await self._bump()
        if heard.whole:
            await self._give_orders(who.box, born=True)
        if heard.keep:
            await self._remember(who.box, heard.keep, whole=heard.whole, now=now)
        if heard.keep:
            await self.figures.keep(heard.box, now, heard.keep)
        for name, key, request in witness.asked_in(heard.box.metrics, heard.keep):
            await self._witness(who.box, name, key, request)

    async def _witness(self, site: str, name: str, key: str, request: str) -> None:
        """Countersign a journal's checkpoint or say why not, and answer the box."""
        try:
            kept = await self.journals.consider(site, name, key, request, _stamp(time.time()))
        except Unreachable as error:
            self._unjudged[site, name] = (key, request)
            log.error("a checkpoint of the journal '%s' of %s is not looked at yet: %s", name, site, error)
            return
        self._unjudged.pop((site, name), None)
        match kept.verdict:
            case witness.Countersign(head):
                answer = Answer(name, head.size, base64.b64encode(head.root).decode(), kept.lines)
            case witness.Remind(size):
                answer = Answer(name, size)
            case witness.Alarm(reason, sentence):
                log.error("the journal '%s' of %s is not countersigned (%s): %s", name, site, reason, sentence)
                await self._bump()
                return
        self._publish(f"headgate/v1/{site}/witness", answer.encode(), qos=1)
        await self._bump()

    def _judge(self, site: str, now: float) -> bool:
        """Compare what ``site`` enforces with what is asked of it; return whether the standing changed."""
        box, before = self.boxes[site], self.standings.get(site)
        self.standings[site] = standing(before, wanted_of(box, self.asked), box.text("policy/enforced"), now)
        return self.standings[site] != before

    async def _remember(self, site: str, keep: Mapping[str, Value], *, whole: bool, now: float) -> None:
        told = self.standings[site]
        since = _stamp(told.since) if told.since else ""
        await self.store.remember(site, keep, _stamp(now), whole=whole, agreement=told.agreement, since=since)

    def _publish(self, topic_: str, payload: bytes, qos: int = 0, *, retain: bool = False) -> None:
        try:
            self.connection.publish(Message(topic_, payload, qos, retain))
        except Unreachable as error:  # a box asks again by sending again
            log.info("not published on %s: %s", topic_, error)

    def _will(self) -> Message:
        self._state_time = milliseconds(
            time.time()
        )  # the birth carries the will's time (tck-id-host-topic-phid-birth-payload)
        return Message(sparkplug.STATE_TOPIC, self._state(online=False), qos=1, retain=True)

    def _state(self, *, online: bool) -> bytes:
        return json.dumps({"online": online, "timestamp": self._state_time}).encode()


def _stamp(now: float) -> str:
    return written(datetime.fromtimestamp(now, UTC))
