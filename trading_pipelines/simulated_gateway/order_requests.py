"""The parser of placeOrder, whose field order depends on the order itself and on the server version."""

import math
from dataclasses import dataclass

from trading_pipelines.domain.contracts import Side
from trading_pipelines.domain.errors import SchemaMismatch
from trading_pipelines.simulated_gateway.contracts import ContractQuery, read_contract
from trading_pipelines.simulated_gateway.wire import Fields

_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL, "SSHORT": Side.SELL}


@dataclass(frozen=True, slots=True)
class LegRequest:
    """One leg of a combo order, bought or sold when the combo is bought."""

    con_id: int
    ratio: int
    side: Side
    exchange: str
    open_close: str
    short_sale_slot: str
    designated_location: str
    exempt_code: str


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as the client sent it. `limit` is None where the client left it open."""

    order_id: int
    contract: ContractQuery
    side: Side
    quantity: float
    order_type: str
    limit: float | None
    auxiliary: float | None
    tif: str
    oca_group: str
    account: str
    open_close: str
    origin: int
    order_ref: str
    transmit: bool
    parent_id: int
    outside_rth: bool
    legs: tuple[LegRequest, ...]
    routing: tuple[tuple[str, str], ...]
    algo: str
    algo_parameters: tuple[tuple[str, str], ...]
    what_if: bool


def read_order(fields: Fields, version: int) -> OrderRequest:
    """`3, order id, contract, …` up to the what-if flag; nothing after it matters to this market."""
    order_id = fields.integer()
    contract = read_contract(fields)
    fields.skip(2)  # secIdType, secId
    side, quantity = _side(fields.text()), fields.number()
    order_type, limit, auxiliary = fields.text().upper(), fields.optional_number(), fields.optional_number()
    tif, oca_group, account, open_close = fields.text(), fields.text(), fields.text(), fields.text()
    origin, order_ref, transmit, parent_id = (
        fields.integer(),
        fields.text(),
        fields.flag(),
        fields.integer(),
    )
    fields.skip(4)  # blockOrder, sweepToFill, displaySize, triggerMethod
    outside_rth = fields.flag()
    fields.skip(1)  # hidden
    legs, routing = _combo(fields) if contract.is_combo else ((), ())
    _skip_attributes(fields, version)
    algo = fields.text()
    algo_parameters = _pairs(fields) if algo else ()
    fields.skip(1)  # algoId
    return OrderRequest(
        order_id=order_id,
        contract=contract,
        side=side,
        quantity=quantity,
        order_type=order_type,
        limit=limit,
        auxiliary=auxiliary,
        tif=tif.upper() or "DAY",
        oca_group=oca_group,
        account=account,
        open_close=open_close,
        origin=origin,
        order_ref=order_ref,
        transmit=transmit,
        parent_id=parent_id,
        outside_rth=outside_rth,
        legs=legs,
        routing=routing,
        algo=algo,
        algo_parameters=algo_parameters,
        what_if=fields.flag(),
    )


def _combo(fields: Fields) -> tuple[tuple[LegRequest, ...], tuple[tuple[str, str], ...]]:
    legs = tuple(
        LegRequest(
            con_id=fields.integer(),
            ratio=fields.integer(),
            side=_side(fields.text()),
            exchange=fields.text(),
            open_close=fields.text(),
            short_sale_slot=fields.text(),
            designated_location=fields.text(),
            exempt_code=fields.text(),
        )
        for _ in range(fields.integer())
    )
    fields.skip(fields.integer())  # prices of single legs
    return legs, _pairs(fields)


def _skip_attributes(fields: Fields, version: int) -> None:
    """The fields between combo and algorithm, of which some announce others."""
    fields.skip(7 if version >= 177 else 8)  # "", discretionary … faPercentage, and faProfile once
    fields.skip(22)  # modelCode … volatilityType
    if fields.text():  # deltaNeutralOrderType
        fields.skip(1 + 8)
    else:
        fields.skip(1)  # deltaNeutralAuxPrice
    fields.skip(6)  # continuousUpdate … scaleSubsLevelSize
    increment = fields.optional_number()
    if increment is not None and 0 < increment < math.inf:
        fields.skip(7)
    fields.skip(3)  # scaleTable, activeStartTime, activeStopTime
    if fields.text():  # hedgeType
        fields.skip(1)
    fields.skip(4)  # optOutSmartRouting, clearingAccount, clearingIntent, notHeld
    if fields.flag():  # delta-neutral contract
        fields.skip(3)


def _pairs(fields: Fields) -> tuple[tuple[str, str], ...]:
    return tuple((fields.text(), fields.text()) for _ in range(fields.integer()))


def _side(text: str) -> Side:
    if text not in _SIDES:
        raise SchemaMismatch(f"{text!r} is neither BUY nor SELL")
    return _SIDES[text]
