"""Encoders of what is said about orders and executions, by server version."""

from collections.abc import Iterable

from trading_pipelines.domain.contracts import Side
from trading_pipelines.simulated_gateway.account import MarginPreview
from trading_pipelines.simulated_gateway.contracts import contract_fields, query_fields
from trading_pipelines.simulated_gateway.ids import Reply
from trading_pipelines.simulated_gateway.order_requests import OrderRequest
from trading_pipelines.simulated_gateway.orders import Execution, Order
from trading_pipelines.simulated_gateway.replies import written_time
from trading_pipelines.simulated_gateway.source import ListedContract
from trading_pipelines.simulated_gateway.wire import UNSET_DOUBLE, Field, frame

_EMPTY = ("",)


def order_status(order: Order) -> bytes:
    """orderStatus; the version decides nothing here."""
    return frame(
        Reply.ORDER_STATUS,
        order.request.order_id,
        order.status.value,
        order.filled,
        order.remaining,
        order.average_price,
        order.perm_id,
        order.request.parent_id,
        order.average_price,
        order.client_id,
        "",
        0.0,
    )


def open_order(order: Order, account: str, version: int) -> bytes:
    """openOrder of an order the gateway took in."""
    request = order.request
    return frame(
        Reply.OPEN_ORDER,
        request.order_id,
        *_contract(request, order.listed),
        *_head(request, account),
        order.client_id,
        order.perm_id,
        *_attributes(request, version),
        0,  # solicited
        False,  # what-if
        order.status.value,
        *_EMPTY * 14,  # margins, commissions, warning
        *_tail(version),
    )


def margin_preview(
    request: OrderRequest,
    listed: ListedContract | None,
    client_id: int,
    account: str,
    preview: MarginPreview,
    version: int,
) -> bytes:
    """openOrder as the answer to a what-if order."""
    before, change = preview.before, preview.change
    return frame(
        Reply.OPEN_ORDER,
        request.order_id,
        *_contract(request, listed),
        *_head(request, account),
        client_id,
        0,
        *_attributes(request, version),
        0,
        True,
        "PreSubmitted",
        *_money(before.initial, before.maintenance, preview.equity),
        *_money(change.initial, change.maintenance, preview.equity_change),
        *_money(
            before.initial + change.initial,
            before.maintenance + change.maintenance,
            preview.equity + preview.equity_change,
        ),
        *_money(preview.commission),
        "",
        "",
        "USD",
        "",
        *_tail(version),
    )


def completed_order(order: Order, account: str, version: int) -> bytes:
    """completedOrder: filled, cancelled or rejected in this session."""
    request = order.request
    at = order.completed_at
    return frame(
        Reply.COMPLETED_ORDER,
        *_contract(request, order.listed),
        *_head(request, account),
        order.perm_id,
        request.outside_rth,
        *(0, 0.0, "", "", "", ""),  # hidden … faPercentage
        *(_EMPTY if version < 177 else ()),
        *("", "", "", "", "", 0, "", -1),  # modelCode … exemptCode
        *("", "", "", "", "", 0, False, False, "", 3),  # startingPrice … ocaType
        *(0, "", 0, "", ""),  # triggerMethod … deltaNeutralAuxPrice
        *(0, 0, "", "", _described(request)),
        *_legs(request),
        *("", "", ""),  # scale
        "",  # hedge
        *("", "IB", 0, 0),
        *_algo(request),
        *(0, order.status.value, 0, 0),
        0,  # conditions
        *("", "", "", 0, 0, ""),  # trailStopPrice … autoCancelDate
        order.filled,
        *(0, 0, "", 0, 0, 0),  # refFuturesConId … parentPermId
        written_time(at) if at else "",
        order.completed_because,
        *(_EMPTY * 5 if version >= 170 else ()),
    )


def execution_details(execution: Execution, request_id: int, account: str, version: int) -> bytes:
    """execDetails: live with request id −1, or the answer to a request."""
    order, listed = execution.order, execution.listed
    asked = order.request.contract
    contract = query_fields(asked) if listed is None else contract_fields(listed, listed.contract.exchange)
    return frame(
        Reply.EXECUTION,
        request_id,
        order.request.order_id,
        *contract,
        execution.exec_id,
        written_time(execution.at),
        account,
        asked.exchange or "SMART",
        "BOT" if execution.side is Side.BUY else "SLD",
        execution.quantity,
        execution.price,
        order.perm_id,
        order.client_id,
        0,
        execution.quantity,
        execution.price,
        order.request.order_ref,
        "",
        "",
        "",
        1,
        *((0,) if version >= 178 else ()),
    )


def commission_report(execution: Execution) -> bytes:
    """commissionReport; a fill that opened has no realised profit, which is said as unset."""
    realised = UNSET_DOUBLE if execution.realised_pnl is None else round(execution.realised_pnl, 6)
    return frame(Reply.COMMISSION, 1, execution.exec_id, execution.commission, "USD", realised, "", "")


def _contract(request: OrderRequest, listed: ListedContract | None) -> Iterable[Field]:
    if listed is None:
        return query_fields(request.contract)
    return contract_fields(listed, request.contract.exchange or listed.contract.exchange)


def _head(request: OrderRequest, account: str) -> tuple[Field, ...]:
    return (
        request.side.value,
        request.quantity,
        request.order_type,
        request.limit if request.limit is not None else 0.0,
        request.auxiliary if request.auxiliary is not None else 0.0,
        request.tif,
        request.oca_group,
        account,
        request.open_close,
        request.origin,
        request.order_ref,
    )


def _attributes(request: OrderRequest, version: int) -> tuple[Field, ...]:
    """From outsideRth to the algorithm.

    The delta-neutral order type is said as "None", as the real thing does, so its eight fields
    must follow: every client reads them whenever the type is not empty.
    """
    return (
        request.outside_rth,
        *(0, 0.0, "", "", "", "", ""),  # hidden … faPercentage
        *(_EMPTY if version < 177 else ()),  # faProfile
        *("", "", "", "", "", 0, "", -1, 0),  # modelCode … auctionStrategy
        *("", "", "", "", "", "", False, False, False),  # startingPrice … allOrNone
        *("", 3, False, False, "", request.parent_id, 0),  # minQty … triggerMethod
        *("", 0, "None", ""),  # volatility … deltaNeutralAuxPrice
        *(0, "", "", "", "", 0, 0, ""),  # the delta-neutral block
        *(0, 0, "", "", "", ""),  # continuousUpdate … basisPointsType
        _described(request),
        *_legs(request),
        *("", "", ""),  # scale
        "",  # hedge
        *(0, "", "IB", 0, 0),  # optOutSmartRouting … delta-neutral contract
        *_algo(request),
    )


def _described(request: OrderRequest) -> str:
    return ",".join(f"{leg.con_id}|{leg.ratio * leg.side.sign}" for leg in request.legs)


def _legs(request: OrderRequest) -> tuple[Field, ...]:
    fields: list[Field] = [len(request.legs)]
    for leg in request.legs:
        fields += [leg.con_id, leg.ratio, leg.side.value, leg.exchange]
        fields += [leg.open_close, leg.short_sale_slot, leg.designated_location, leg.exempt_code]
    fields += [0, len(request.routing)]
    for tag, value in request.routing:
        fields += [tag, value]
    return tuple(fields)


def _algo(request: OrderRequest) -> tuple[Field, ...]:
    if not request.algo:
        return ("",)
    pairs = [field for pair in request.algo_parameters for field in pair]
    return (request.algo, len(request.algo_parameters), *pairs)


def _tail(version: int) -> tuple[Field, ...]:
    """After the order state: randomize, conditions, adjusted order, and what versions added."""
    return (
        *(0, 0, 0),
        *("None", "", "", "", "", "", "", 0, "", "", "", "", 0, 0, 0, 0),
        *(_EMPTY if version >= 159 else ()),
        *(_EMPTY if version >= 160 else ()),
        *((0,) if version >= 162 else ()),
        *(_EMPTY * 5 if version >= 170 else ()),
    )


def _money(*amounts: float) -> tuple[str, ...]:
    return tuple(f"{amount:.2f}" for amount in amounts)
