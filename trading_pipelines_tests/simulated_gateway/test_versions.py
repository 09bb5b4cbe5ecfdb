"""Layouts by server version, read field by field from the socket; clients of both were seen to take them."""

import pytest

from trading_pipelines.simulated_gateway.server import RunningGateway
from trading_pipelines_tests.simulated_gateway.clients import RawClient
from trading_pipelines_tests.simulated_gateway.conftest import ConnectRaw
from trading_pipelines_tests.simulated_gateway.static_market import CALL_560, PUT_530, PUT_540

ORDER_REF = "tp1-abcdefghijklmnopqrst"
VERSIONS = pytest.mark.parametrize("version", [157, 178])


def limit_order(
    version: int, order_id: int, *, combo: bool, price: float, algo: bool = False
) -> list[object]:
    """placeOrder in the field order of the clients that speak the version."""
    contract = (0 if combo else CALL_560, "SPY", "BAG" if combo else "OPT")
    fields: list[object] = [3, order_id, *contract, "", 0.0, "", "", "SMART", "", "USD", "", "", "", ""]
    fields += ["BUY", 2.0, "LMT", price, "", "DAY", "", "", "O", 0, ORDER_REF, 1, 0, 0, 0, 0, 0, 0, 0]
    if combo:
        fields += [2]
        for con_id, side in ((PUT_530, "BUY"), (PUT_540, "SELL")):
            fields += [con_id, 1, side, "SMART", 0, 0, "", -1]
        fields += [0, 1, "NonGuaranteed", "0"]
    fields += ["", 0.0, "", "", "", "", ""]
    if version < 177:
        fields += [""]  # faProfile
    fields += ["", 0, "", -1, 0, "", "", 0, "", "", 0, 0, "", 0, "", "", "", "", "", 0, "", "", "", ""]
    fields += [0, "", "", "", "", "", "", "", "", "", "", 0, "", "", 0, 0]
    fields += ["Adaptive", 1, "adaptivePriority", "Normal"] if algo else [""]
    fields += ["", 0, "", 0, 0, 0, 0, "", "", "", "", "", "", 0, "", "", "", "", "", "", "", "", 0, 0, 0, ""]
    for since in (158, 160, 162, 166, 169):
        if version >= since:
            fields += [""]
    return fields


def placed(
    gateway: RunningGateway, connect_raw: ConnectRaw, version: int, **order: object
) -> tuple[RawClient, list[str]]:
    """The client, and the open order it is answered with."""
    client = connect_raw(gateway, highest=version).start(5)
    client.send(*limit_order(version, 10, **order))  # type: ignore[arg-type]
    return client, client.until(lambda fields: fields[0] == "5")[-1]


@VERSIONS
@pytest.mark.parametrize(("combo", "price"), [(False, 4.00), (True, -2.10)], ids=["option", "combo"])
def test_the_order_ref_comes_back_in_open_orders(
    gateway: RunningGateway, connect_raw: ConnectRaw, version: int, combo: bool, price: float
) -> None:
    _, fields = placed(gateway, connect_raw, version, combo=combo, price=price)
    assert fields[1] == "10"
    assert fields[13:18] == ["BUY", "2.0", "LMT", str(price), "0.0"]
    assert fields[23] == ORDER_REF
    assert fields[24] == "5"  # client id


@VERSIONS
def test_an_open_order_has_as_many_fields_as_its_version_wants(
    gateway: RunningGateway, connect_raw: ConnectRaw, version: int
) -> None:
    # Counted in the decoders of ibapi (157) and nautilus (178): up to 177 there is faProfile; from 159
    # on come duration, postToAts, autoCancelParent and five fields of pegging.
    _, fields = placed(gateway, connect_raw, version, combo=False, price=4.00)
    assert len(fields) == {157: 128, 178: 135}[version]


@VERSIONS
def test_the_combo_legs_and_routing_come_back(
    gateway: RunningGateway, connect_raw: ConnectRaw, version: int
) -> None:
    _, fields = placed(gateway, connect_raw, version, combo=True, price=-2.10)
    start = fields.index(f"{PUT_530}|1,{PUT_540}|-1") + 1
    legs = [str(PUT_530), "1", "BUY", "SMART", "0", "0", "", "-1"]
    legs += [str(PUT_540), "1", "SELL", "SMART", "0", "0", "", "-1"]
    assert fields[start : start + 21] == ["2", *legs, "0", "1", "NonGuaranteed", "0"]


@VERSIONS
def test_what_follows_the_algorithm_is_not_lost_behind_it(
    gateway: RunningGateway, connect_raw: ConnectRaw, version: int
) -> None:
    _, fields = placed(gateway, connect_raw, version, combo=False, price=4.00, algo=True)
    start = fields.index("Adaptive")
    assert fields[start : start + 7] == ["Adaptive", "1", "adaptivePriority", "Normal", "0", "0", "Submitted"]


@VERSIONS
def test_the_order_ref_comes_back_in_executions_and_completed_orders(
    gateway: RunningGateway, connect_raw: ConnectRaw, version: int
) -> None:
    client, _ = placed(gateway, connect_raw, version, combo=False, price=5.00)
    execution = client.until(lambda fields: fields[0] == "11")[-1]
    assert execution[26] == ORDER_REF
    assert len(execution) == {157: 31, 178: 32}[version]
    client.send(99, 0)
    completed = client.until(lambda fields: fields[0] == "102")[-2]
    assert completed[:2] == ["101", str(CALL_560)]
    assert completed[22] == ORDER_REF


@VERSIONS
def test_an_error_has_one_field_more_since_166(
    gateway: RunningGateway, connect_raw: ConnectRaw, version: int
) -> None:
    client = connect_raw(gateway, highest=version).start(5)
    client.send(4, 1, 4711)
    answer = client.until(lambda fields: fields[:4] == ["4", "2", "4711", "10147"])[-1]
    assert len(answer) == {157: 5, 178: 6}[version]


@VERSIONS
def test_contract_details_have_size_fields_instead_of_a_version_since_164(
    gateway: RunningGateway, connect_raw: ConnectRaw, version: int
) -> None:
    client = connect_raw(gateway, highest=version).start(5)
    contract = (CALL_560, "SPY", "OPT", "", 0, "", "", "SMART", "", "USD", "", "")
    client.send(9, 8, 3, *contract, 0, "", "", *([""] if version >= 176 else []))
    details = client.until(lambda fields: fields[0] == "52")[-2]
    assert details[:3] == (["10", "8", "3"] if version < 164 else ["10", "3", "SPY"])
    assert details[-3:] == (["26", "20240719", ""] if version < 164 else ["1", "1", "1"])


def test_sizes_are_whole_numbers_for_clients_that_read_them_so(
    gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    client = connect_raw(gateway, highest=157).start(5)
    contract = (CALL_560, "SPY", "OPT", "", 0, "", "", "SMART", "", "USD", "", "")
    client.send(1, 11, 8, *contract, 0, "", 1, 0, "")
    answer = client.until(lambda fields: fields[0] == "57")
    assert ["2", "6", "8", "8", "1234"] in answer
