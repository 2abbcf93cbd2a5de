"""The lab's machines as values."""

import itertools
from ipaddress import IPv4Interface

import pytest

from appliance.runtime.errors import Refused
from firmware.recipe import RECIPES
from provisioning.lab import plan

WHOLE = plan.whole()


@pytest.mark.parametrize(
    ("machine", "network", "mac", "address"),
    [
        ("headend", "management", "02:68:67:28:00:0b", "10.40.0.11/24"),
        ("headend", "culture", "02:68:67:0a:00:0b", "10.10.0.11/24"),
        ("headend", "bigscreen", "02:68:67:14:00:0b", "10.20.0.11/24"),
        ("edge", "smallscreen", "02:68:67:1e:00:0c", "10.30.0.12/24"),
        ("institution", "institution", "02:68:67:32:00:0d", "10.50.0.13/24"),
        ("centre", "culture", "02:68:67:0a:00:14", "10.10.0.20/24"),
        ("settop", "bigscreen", "02:68:67:14:00:32", "10.20.0.50/24"),
        ("attacker-small", "smallscreen", "02:68:67:1e:00:42", "10.30.0.66/24"),
        ("archive", "institution", "02:68:67:32:00:1e", "10.50.0.30/24"),
    ],
)
def test_ports_are_where_the_sites_policies_say(machine: str, network: str, mac: str, address: str):
    """MAC and address follow from network and host, as the policies of the lab's sites name them."""
    port = WHOLE.machine(machine).port(network)

    assert (port.mac, str(port.address)) == (mac, address)


@pytest.mark.parametrize("machine", ["centre", "headend", "edge", "institution"])
def test_a_box_is_blank(machine: str):
    """Only the management port has an address before Ansible comes."""
    box = WHOLE.machine(machine)

    assert box.managed
    assert [port.network for port in box.ports if port.given] == ["management"]
    assert not any(port.default_route for port in box.ports)


@pytest.mark.parametrize("machine", ["settop", "phone", "attacker-big", "attacker-small", "archive"])
def test_a_screen_asks_for_everything_on_its_own_cable(machine: str):
    """It has its address, and sends whatever is not on its network out to where nobody should answer."""
    (port,) = WHOLE.machine(machine).ports

    assert port.given
    assert port.default_route
    assert not WHOLE.machine(machine).managed


def test_nothing_is_there_twice():
    """No two ports share a MAC, an address or an end at a switch; every image exists."""
    ports = [WHOLE.operator, *itertools.chain.from_iterable(machine.ports for machine in WHOLE.machines)]

    assert len({port.mac for port in ports}) == len({port.address for port in ports}) == len(ports)
    assert len({machine.name for machine in WHOLE.machines}) == len(WHOLE.machines)
    assert {machine.image for machine in WHOLE.machines} == set(RECIPES)


def test_every_port_lies_in_its_network():
    """An address of another network would be a cable laid wrong."""
    networks = {network.name: network.address for network in WHOLE.networks}

    assert all(port.address.network == networks[port.network] for machine in WHOLE.machines for port in machine.ports)


def test_the_operator_works_in_management():
    """The workstation's address is the one that the playbooks and the policies expect."""
    assert (WHOLE.operator.network, WHOLE.operator.address) == ("management", IPv4Interface("10.40.0.2/24"))


@pytest.mark.parametrize("name", ["x", "Headend", "head_end", "-box", "box-", "a-name-that-is-too-long", "box/..", ""])
def test_a_name_that_no_interface_can_bear_is_refused(name: str):
    """A machine's name is also its cable's at the switch: at most 15 characters."""
    with pytest.raises(Refused) as refused:
        plan.machine(name, "factory", 1, ("culture",))

    assert refused.value.reason == "bad-name"


def test_an_unknown_machine_or_port_names_those_there_are():
    """The operator reads what could have been meant."""
    with pytest.raises(Refused, match="headend, edge"):
        WHOLE.machine("headen")
    with pytest.raises(Refused, match="culture, bigscreen, management"):
        WHOLE.machine("headend").port("smallscreen")
