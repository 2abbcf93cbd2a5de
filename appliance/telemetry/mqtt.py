"""One MQTT 5 connection over TLS with a client certificate, as a stream of events for asyncio. Touches paho-mqtt.

paho runs its own thread and keeps messages in memory only; here each attempt to connect is a client of its own, so that nothing
survives a lost connection but what the caller keeps on disk, and reconnects are spread by jitter (paho's are not).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from appliance.runtime.errors import Unreachable
from appliance.telemetry.settings import Broker

log = logging.getLogger("headgate.mqtt")

KEEPALIVE = 20  # seconds; a dead peer is noticed within one and a half of these
LARGEST = 1 << 20  # bytes of a packet that the broker may send us
MOST_WAITING = 2000  # messages not yet taken up; what comes beyond is dropped, which every protocol here survives
LEAVING = 3.0  # seconds for a farewell
WITH_WILL = 0x04  # MQTT 5 section 3.14.2.1: disconnect, and publish the will all the same


@dataclass(frozen=True)
class Message:
    """A message to publish, or one that came."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True)
class Connected:
    """The broker took us, and our subscriptions stand."""


@dataclass(frozen=True)
class Lost:
    """The connection ended."""

    reason: str


Event = Message | Connected | Lost


class Connection:
    """Keeps a connection, or tries to, while ``run`` runs; what happens is read from ``events``."""

    def __init__(
        self, broker: Broker, client_id: str, *, will: Callable[[], Message], topics: Sequence[tuple[str, int]]
    ) -> None:
        """``will`` is called before each attempt; ``topics`` are (filter, QoS)."""
        self._broker, self._client_id, self._will, self._topics = broker, client_id, will, list(topics)
        self._client: Client | None = None
        self._told = ""
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.dropped = 0  # messages that came faster than they were taken up
        self.refused = 0  # messages of ours that the broker did not take
        self.connected = False

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, for ever; cancelled, it leaves with its will."""
        failures = 0
        while True:
            attempt = _Attempt(self, asyncio.get_running_loop())
            try:
                await attempt.hold()
            except (OSError, ValueError) as error:  # refused, unreachable, or not the certificate it should have
                self._tell(f"broker {self._broker.address}:{self._broker.port} cannot be reached: {error}")
            failures = 0 if attempt.was_connected else failures + 1
            await asyncio.sleep(pause(failures, random.random(), self._broker.retry))  # noqa: S311 (jitter, no secret)

    def publish(self, message: Message) -> None:
        """Hand a message to the broker.

        Raises:
            Unreachable: there is no connection, or it just went.
        """
        client = self._client
        if client is None:
            raise Unreachable("there is no connection to the broker")
        info = client.publish(message.topic, message.payload, message.qos, message.retain)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Unreachable(f"the broker did not take a message: {info.rc.name}")

    def _tell(self, text: str) -> None:
        if text != self._told:  # once, and not at every attempt
            log.warning("%s", text)
        self._told = text

    def _arrived(self, event: Event) -> None:
        if isinstance(event, Message) and self.events.qsize() >= MOST_WAITING:
            self.dropped += 1
        else:
            self.events.put_nowait(event)


class _Attempt:
    """One client of paho, from connect to the end; its callbacks come on paho's thread and are passed to the loop."""

    def __init__(self, owner: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._owner, self._loop = owner, loop
        self._ended = asyncio.Event()
        self._client: Client | None = None
        self.was_connected = False

    async def hold(self) -> None:
        broker = self._owner._broker
        client = self._client = self._make()
        limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        limits.MaximumPacketSize = LARGEST
        try:
            await asyncio.to_thread(
                client.connect, broker.address, broker.port, KEEPALIVE, clean_start=True, properties=limits
            )
            client.loop_start()
            await self._ended.wait()
        finally:
            self._owner._client, self._owner.connected = None, False
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._leave(client))
            if self.was_connected:
                self._owner._arrived(Lost(self._owner._told or "the connection ended"))

    async def _leave(self, client: Client) -> None:
        client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=WITH_WILL))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVING):
                if self.was_connected:
                    await self._ended.wait()
        # Its thread is a daemon thread: one that hangs in a dead socket ends with us.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(client.loop_stop), LEAVING)

    def _make(self) -> Client:
        broker, owner = self._owner._broker, self._owner
        context = ssl.create_default_context(cafile=str(broker.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(broker.cert, broker.key)
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=owner._client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.tls_set_context(context)
        will = owner._will()
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop closed while paho's thread was on its way out
            self._loop.call_soon_threadsafe(function, *arguments)

    def _on_connect(
        self, client: Client, userdata: object, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._call(self._end, f"the broker refuses {self._owner._client_id}: {code}")
        elif self._owner._topics:
            client.subscribe(self._owner._topics)
        else:
            self._call(self._up)

    def _on_subscribe(
        self, client: Client, userdata: object, mid: int, codes: list[ReasonCode], properties: Properties | None
    ) -> None:
        refused = [topic for (topic, _), code in zip(self._owner._topics, codes, strict=True) if code.is_failure]
        if refused:
            self._call(self._end, f"the broker refuses the subscription of {', '.join(refused)}")
        else:
            self._call(self._up)

    def _on_disconnect(
        self, client: Client, userdata: object, flags: DisconnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._call(self._end, f"the connection to the broker ended: {code}")

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        event = Message(message.topic, bytes(message.payload), message.qos, message.retain)
        self._call(self._owner._arrived, event)

    def _on_publish(
        self, client: Client, userdata: object, mid: int, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._call(self._not_taken, str(code))

    def _up(self) -> None:
        self.was_connected = True
        owner = self._owner
        owner._client, owner.connected, owner._told = self._client, True, ""
        log.info("connected to the broker at %s:%d as %s", owner._broker.address, owner._broker.port, owner._client_id)
        owner._arrived(Connected())

    def _end(self, reason: str) -> None:
        if not self._ended.is_set():
            self._owner._tell(reason)
            self._ended.set()

    def _not_taken(self, code: str) -> None:
        self._owner.refused += 1
        log.error("the broker did not take a message of ours: %s", code)


def pause(failures: int, chance: float, longest: float) -> float:
    """Return the seconds to wait before the next attempt: doubling from half a second, spread by ``chance`` (0..1)."""
    return min(longest, 0.5 * (1 << min(failures, 16))) * (0.5 + chance / 2)
