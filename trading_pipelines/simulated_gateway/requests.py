"""Parsers of the requests, by server version. Orders, the longest of them, are in `order_requests.py`."""

from dataclasses import dataclass

from trading_pipelines.simulated_gateway.contracts import ContractQuery, read_contract
from trading_pipelines.simulated_gateway.wire import Fields


@dataclass(frozen=True, slots=True)
class MarketDataRequest:
    """A line of market data, streaming or as one snapshot."""

    request_id: int
    contract: ContractQuery
    generic_ticks: frozenset[int]
    snapshot: bool


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Bars that end at `end` (empty: now)."""

    request_id: int
    contract: ContractQuery
    end: str
    bar_size: str
    duration: str
    what: str
    epoch_dates: bool
    keep_up_to_date: bool


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions a client wants; empty and 0 mean any."""

    request_id: int
    client_id: int
    account: str
    since: str
    symbol: str
    security_type: str
    exchange: str
    side: str


def read_market_data(fields: Fields) -> MarketDataRequest:
    """`1, 11, id, contract, [legs], delta-neutral, generic ticks, snapshot, regulatory, options`."""
    fields.skip(1)
    request_id = fields.integer()
    contract = read_contract(fields)
    if contract.is_combo:
        fields.skip(4 * fields.integer())
    if fields.flag():
        fields.skip(3)
    generic_ticks = frozenset(
        int(tick) for tick in fields.text().split(",") if tick.strip().isdigit()
    )  # a client may ask for news ticks such as mdoff, which are no numbers
    return MarketDataRequest(request_id, contract, generic_ticks, snapshot=fields.flag())


def read_contract_details(fields: Fields) -> tuple[int, ContractQuery]:
    """`9, 8, id, contract, …`: what follows does not narrow the search here."""
    fields.skip(1)
    return fields.integer(), read_contract(fields)


def read_option_parameters(fields: Fields) -> tuple[int, int]:
    """`78, id, symbol, exchange, type, con_id`: request id and underlying."""
    request_id = fields.integer()
    fields.skip(3)
    return request_id, fields.integer()


def read_history(fields: Fields) -> HistoryRequest:
    """`20, id, contract, expired, end, bar size, duration, rth, what, date format, [legs], keep, options`."""
    request_id = fields.integer()
    contract = read_contract(fields)
    fields.skip(1)
    end, bar_size, duration = fields.text(), fields.text(), fields.text()
    fields.skip(1)
    what = fields.text()
    epoch_dates = fields.integer() == 2
    if contract.is_combo:
        fields.skip(4 * fields.integer())
    return HistoryRequest(
        request_id, contract, end, bar_size, duration, what.upper(), epoch_dates, fields.flag()
    )


def read_executions(fields: Fields) -> ExecutionFilter:
    """`7, 3, id, client, account, time, symbol, type, exchange, side`."""
    fields.skip(1)
    return ExecutionFilter(
        fields.integer(),
        fields.integer(),
        fields.text(),
        fields.text(),
        fields.text(),
        fields.text(),
        fields.text(),
        fields.text(),
    )


def read_versioned_id(fields: Fields) -> int:
    """`_, version, id`: the many requests that name only an id."""
    fields.skip(1)
    return fields.integer()
