"""Encoders of the replies about connection, contracts, account and market, by server version."""

from collections.abc import Sequence
from datetime import datetime

from trading_pipelines.core.market.calendar import NEW_YORK
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.simulated_gateway.account import Holding, HoldingValue, Valuation
from trading_pipelines.simulated_gateway.contracts import contract_fields, written_expiry, written_multiplier
from trading_pipelines.simulated_gateway.ids import Reply
from trading_pipelines.simulated_gateway.source import Bar, ListedContract, OptionParameters
from trading_pipelines.simulated_gateway.wire import Field, frame, whole

_DAY_SECONDS = 86_400
_ZONE = "US/Eastern"
"""How IB names New York in its messages."""


def written_time(at: datetime) -> str:
    """A time as the wire writes it."""
    return f"{at.astimezone(NEW_YORK):%Y%m%d %H:%M:%S} {_ZONE}"


def handshake(version: int, at: datetime) -> bytes:
    """The answer to a client's hello."""
    return frame(version, written_time(at))


def error(request_id: int, problem: tuple[int, str], version: int) -> bytes:
    """An error, a warning or a notice; request id −1 belongs to none."""
    return frame(Reply.ERROR, 2, request_id, *problem, *(("",) if version >= 166 else ()))


def next_id(order_id: int) -> bytes:
    """nextValidId."""
    return frame(Reply.NEXT_ID, 1, order_id)


def managed_accounts(account: str) -> bytes:
    """managedAccounts."""
    return frame(Reply.MANAGED_ACCOUNTS, 1, account)


def current_time(at: datetime) -> bytes:
    """currentTime: whole seconds of the gateway's clock."""
    return frame(Reply.CURRENT_TIME, 1, int(at.timestamp()))


def end(reply: Reply, request_id: int | str | None = None) -> bytes:
    """The marker that closes an answer. Some name their request, the newest have no version field."""
    version = () if reply in {Reply.OPTION_PARAMETERS_END, Reply.COMPLETED_ORDERS_END} else (1,)
    return frame(reply, *version, *(() if request_id is None else (request_id,)))


def contract_details(listed: ListedContract, request_id: int, version: int) -> bytes:
    """contractDetails."""
    contract = listed.contract
    option = contract.right is not None
    return frame(
        Reply.CONTRACT_DETAILS,
        *((8,) if version < 164 else ()),
        request_id,
        contract.symbol,
        contract.security_type.value,
        written_expiry(listed),
        contract.strike or 0.0,
        contract.right.value if contract.right else "",
        contract.exchange,
        contract.currency,
        contract.local_symbol,
        contract.trading_class,  # market name
        contract.trading_class,
        contract.con_id,
        listed.min_tick,
        *((1,) if version < 164 else ()),  # obsolete size multiplier
        written_multiplier(contract),
        "ACTIVETIM,DAY,GTC,IOC,LMT,MKT,SMARTSTG,WHATIF",
        listed.valid_exchanges,
        1,
        listed.underlying_con_id,
        listed.long_name,
        listed.primary_exchange,
        written_expiry(listed)[:6],
        *("", "", ""),  # industry, category, subcategory
        listed.time_zone,
        *("", "", "", 0, 0),  # trading hours, liquid hours, EV rule and multiplier, secIds
        1,  # aggregation group
        contract.symbol if option else "",
        _underlying_type(contract.security_type),
        "26",
        written_expiry(listed),
        "ETF" if contract.security_type is SecurityType.STOCK else "",
        *((1, 1, 1) if version >= 164 else ()),
    )


def _underlying_type(security_type: SecurityType) -> str:
    return {SecurityType.OPTION: "STK", SecurityType.FUTURE_OPTION: "FUT", SecurityType.FUTURE: "IND"}.get(
        security_type, ""
    )


def option_parameters(parameters: OptionParameters, request_id: int) -> bytes:
    """securityDefinitionOptionParameter: one option class at one exchange."""
    expiries = [expiry.strftime("%Y%m%d") for expiry in parameters.expiries]
    return frame(
        Reply.OPTION_PARAMETERS,
        request_id,
        parameters.exchange,
        parameters.underlying_con_id,
        parameters.trading_class,
        parameters.multiplier,
        len(expiries),
        *expiries,
        len(parameters.strikes),
        *parameters.strikes,
    )


def position(holding: Holding, account: str) -> bytes:
    """position: options are said without an exchange, stocks with their primary one, as IB does."""
    listed = holding.listed
    exchange = "" if listed.contract.right else listed.primary_exchange or listed.contract.exchange
    return frame(
        Reply.POSITION,
        3,
        account,
        *contract_fields(listed, exchange),
        holding.quantity,
        round(holding.average_cost, 6),
    )


def portfolio(value: HoldingValue, account: str) -> bytes:
    """portfolioValue."""
    holding = value.holding
    return frame(
        Reply.PORTFOLIO,
        8,
        *contract_fields(holding.listed, holding.listed.primary_exchange),
        holding.quantity,
        round(value.price, 6),
        round(value.market_value, 2),
        round(holding.average_cost, 6),
        round(value.unrealised_pnl, 2),
        round(holding.realised_pnl, 2),
        account,
    )


def account_values(valuation: Valuation) -> dict[str, tuple[str, str]]:
    """Tag to (value, currency), as updateAccountValue and accountSummary say it."""
    margin = valuation.margin
    usd = {
        "NetLiquidation": valuation.net_liquidation,
        "TotalCashValue": valuation.cash,
        "SettledCash": valuation.cash,
        "EquityWithLoanValue": valuation.net_liquidation,
        "GrossPositionValue": valuation.gross_position_value,
        "InitMarginReq": margin.initial,
        "MaintMarginReq": margin.maintenance,
        "FullInitMarginReq": margin.initial,
        "FullMaintMarginReq": margin.maintenance,
        "AvailableFunds": valuation.available_funds,
        "FullAvailableFunds": valuation.available_funds,
        "ExcessLiquidity": valuation.excess_liquidity,
        "FullExcessLiquidity": valuation.excess_liquidity,
        "BuyingPower": valuation.buying_power,
        "UnrealizedPnL": valuation.unrealised_pnl,
        "RealizedPnL": valuation.realised_pnl,
    }
    cushion = valuation.excess_liquidity / valuation.net_liquidation if valuation.net_liquidation else 0.0
    return {
        "AccountType": ("INDIVIDUAL", ""),
        "AccountReady": ("true", ""),
        "Cushion": (f"{cushion:.6f}", ""),
        **{tag: (f"{amount:.2f}", "USD") for tag, amount in usd.items()},
    }


def account_value(tag: str, value: tuple[str, str], account: str) -> bytes:
    """updateAccountValue."""
    return frame(Reply.ACCOUNT_VALUE, 2, tag, *value, account)


def account_summary(tag: str, value: tuple[str, str], account: str, request_id: int) -> bytes:
    """accountSummary."""
    return frame(Reply.ACCOUNT_SUMMARY, 1, request_id, account, tag, *value)


def account_multi(tag: str, value: tuple[str, str], account: str, request_id: int) -> bytes:
    """accountUpdateMulti."""
    return frame(Reply.ACCOUNT_MULTI, 1, request_id, account, "", tag, *value)


def account_time(at: datetime) -> bytes:
    """updateAccountTime."""
    return frame(Reply.ACCOUNT_TIME, 1, f"{at.astimezone(NEW_YORK):%H:%M}")


def pnl(valuation: Valuation, request_id: int) -> bytes:
    """pnl of the whole account."""
    return frame(Reply.PNL, request_id, valuation.daily_pnl, valuation.unrealised_pnl, valuation.realised_pnl)


def pnl_single(value: HoldingValue, request_id: int) -> bytes:
    """pnlSingle of one position."""
    return frame(
        Reply.PNL_SINGLE,
        request_id,
        value.holding.quantity,
        value.daily_pnl,
        value.unrealised_pnl,
        value.holding.realised_pnl,
        value.market_value,
    )


def historical_data(bars: Sequence[Bar], request_id: int, seconds: int, epoch_dates: bool) -> bytes:
    """historicalData: all bars in one message; daily bars are dated by their session in either format."""
    fields: list[Field] = []
    for bar in bars:
        fields += [_bar_date(bar.start, seconds, epoch_dates), bar.open, bar.high, bar.low, bar.close]
        fields += [whole(bar.volume), bar.average, bar.count]
    first, last = written_time(bars[0].start), written_time(bars[-1].start)
    return frame(Reply.HISTORICAL_DATA, request_id, first, last, len(bars), *fields)


def _bar_date(start: datetime, seconds: int, epoch_dates: bool) -> str:
    if seconds >= _DAY_SECONDS:
        return f"{start:%Y%m%d}"
    return str(int(start.timestamp())) if epoch_dates else written_time(start)
