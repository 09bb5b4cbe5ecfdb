"""Encoders of market data: one quote becomes the ticks a client reads. The gateway's hottest path."""

from trading_pipelines.domain.contracts import Right
from trading_pipelines.simulated_gateway.ids import GenericTick, Reply, Tick
from trading_pipelines.simulated_gateway.source import ListedContract, MarketQuote, ModelGreeks
from trading_pipelines.simulated_gateway.wire import frame, framed, whole

LIVE = 1
FROZEN = 2


def tick_parameters(listed: ListedContract, request_id: int, data_type: int) -> list[bytes]:
    """What precedes the first tick: the price increment, and whether the data is live (1) or frozen (2)."""
    return [
        frame(Reply.TICK_PARAMETERS, request_id, listed.min_tick, "9c0001", 3),
        frame(Reply.MARKET_DATA_TYPE, 1, request_id, data_type),
    ]


def ticks(quote: MarketQuote, request_id: int) -> list[bytes]:
    """Prices and volume. No bid or ask is said as −1 without size; what else is missing is not said."""
    sent = [
        _price(request_id, Tick.BID, quote.bid, quote.bid_size),
        _price(request_id, Tick.ASK, quote.ask, quote.ask_size),
    ]
    if quote.last is not None:
        sent.append(_price(request_id, Tick.LAST, quote.last, quote.last_size))
        sent.append(framed(f"{Reply.TICK_SIZE:d}\x006\0{request_id}\0{Tick.VOLUME:d}\0{whole(quote.volume)}"))
    for tick, price in (
        (Tick.OPEN, quote.open),
        (Tick.HIGH, quote.high),
        (Tick.LOW, quote.low),
        (Tick.CLOSE, quote.previous_close),
    ):
        if price is not None:
            sent.append(_price(request_id, tick, price, 0.0))
    if quote.greeks is not None:
        sent += _option_ticks(quote, quote.greeks, request_id)
    return sent


def generic_ticks(
    listed: ListedContract,
    quote: MarketQuote,
    asked: frozenset[int],
    volatility: float | None,
    request_id: int,
) -> list[bytes]:
    """Option volume, open interest and implied volatility, as far as asked and known."""
    sent: list[bytes] = []
    right = listed.contract.right
    if right is not None and GenericTick.OPTION_VOLUME in asked:
        tick = Tick.CALL_VOLUME if right is Right.CALL else Tick.PUT_VOLUME
        sent.append(frame(Reply.TICK_SIZE, 6, request_id, tick, whole(quote.volume)))
    if right is not None and GenericTick.OPEN_INTEREST in asked and quote.open_interest is not None:
        tick = Tick.CALL_OPEN_INTEREST if right is Right.CALL else Tick.PUT_OPEN_INTEREST
        sent.append(frame(Reply.TICK_SIZE, 6, request_id, tick, whole(quote.open_interest)))
    if GenericTick.IMPLIED_VOLATILITY in asked and volatility is not None:
        sent.append(frame(Reply.TICK_GENERIC, 6, request_id, Tick.IMPLIED_VOLATILITY, volatility))
    return sent


def _price(request_id: int, tick: Tick, price: float | None, size: float) -> bytes:
    if price is None:
        return framed(f"1\x006\0{request_id}\0{tick:d}\0-1.0\x000\x000")
    return framed(f"1\x006\0{request_id}\0{tick:d}\0{price}\0{whole(size)}\x000")


def _option_ticks(quote: MarketQuote, model: ModelGreeks, request_id: int) -> list[bytes]:
    """The model's Greeks (13), and those at bid, ask and last (10–12).

    The latter repeat the model's, with the implied volatility moved by (price − model) / vega.
    """
    sent = []
    for tick, price in (
        (Tick.BID_OPTION, quote.bid),
        (Tick.ASK_OPTION, quote.ask),
        (Tick.LAST_OPTION, quote.last),
    ):
        if price is None or model.vega < _FLAT:
            continue
        iv = model.iv + (price - model.price) / model.vega / 100
        if iv > 0:
            sent.append(_computation(request_id, tick, iv, price, model))
    sent.append(_computation(request_id, Tick.MODEL_OPTION, model.iv, model.price, model))
    return sent


_FLAT = 1e-4
"""A vega per point below this says nothing about volatility."""


def _computation(request_id: int, tick: Tick, iv: float, price: float, model: ModelGreeks) -> bytes:
    return framed(
        f"21\0{request_id}\0{tick:d}\x000\0{iv}\0{model.delta}\0{price}\x000.0\0"
        f"{model.gamma}\0{model.vega}\0{model.theta}\0{model.underlying}"
    )
