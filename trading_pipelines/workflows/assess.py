"""Gathering what is so now, and asking the risk limits about each intent."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from trading_pipelines.core.market import calendar
from trading_pipelines.core.market.quality import with_worthless_bids
from trading_pipelines.core.risk.facts import LegQuote, RiskFacts, UnresolvedOrder
from trading_pipelines.core.risk.limits import verdict
from trading_pipelines.domain.orders import OrderIntent, OrderState, RiskVerdict
from trading_pipelines.workflows.gate import OrderPath, was_sent
from trading_pipelines.workflows.snapshot import contract_frame


def assess(
    intents: Sequence[OrderIntent],
    path: OrderPath,
    *,
    account_at_open: float | None,
    reconciliation: pl.DataFrame,
) -> tuple[RiskVerdict, ...]:
    """One verdict per intent, in order; an approved one counts as risk for those after it.

    Legs are quoted anew and margin is asked by what-if. `account_at_open` is the session's first net
    liquidation, `reconciliation` RECONCILIATION rows of the tick.
    """
    verdicts = []
    before: list[OrderIntent] = []
    committed = 0.0  # initial margin that the approved orders before this one will take
    for intent in intents:
        facts = _facts(intent, path, account_at_open, reconciliation)
        for approved in before:
            facts = facts.after(approved)
        if facts.free_funds is not None:
            facts = facts.model_copy(update={"free_funds": facts.free_funds - committed})
        given = verdict(intent, facts, path.parameters, path.clock.now())
        verdicts.append(given)
        if given.approved:
            before.append(intent)
            committed += max(facts.margin_change or 0.0, 0.0)
    return tuple(verdicts)


def _facts(
    intent: OrderIntent, path: OrderPath, account_at_open: float | None, reconciliation: pl.DataFrame
) -> RiskFacts:
    journal, now = path.journal, path.clock.now()
    account = path.broker.account()
    unresolved = [
        order for order in journal.orders(unresolved=True) if order.intent.order_ref != intent.order_ref
    ]
    today = journal.orders(session=intent.session)
    sent = [order for order in today if was_sent(order)]
    held = {position.position_id: position for position in journal.positions()}
    session_open, session_close = calendar.session_bounds(intent.session)
    at_risk = sum(position.max_loss * position.multiplier * position.units for position in held.values())
    at_risk += sum(order.intent.max_loss_usd for order in unresolved)
    differs = (pl.col("symbol") == intent.underlying) & (pl.col("kind") != "match")
    return RiskFacts(
        mode=path.mode,
        account=account.account,
        halted=journal.halted(),
        session_open=session_open,
        session_close=session_close,
        net_liquidation=account.net_liquidation,
        free_funds=account.available_funds,
        margin_change=path.broker.what_if(intent).initial_margin_change,
        open_max_loss_usd=at_risk,
        daily_pnl_usd=None if account_at_open is None else account.net_liquidation - account_at_open,
        orders_today=len(sent),
        orders_last_minute=sum(order.recorded_at > now - timedelta(minutes=1) for order in sent),
        known_refs=frozenset(
            order.intent.order_ref for order in today if order.state is not OrderState.INTENT
        ),
        unresolved=tuple(
            UnresolvedOrder(
                order_ref=order.intent.order_ref,
                position_id=order.intent.position_id,
                underlying=order.intent.underlying,
                state=order.state,
            )
            for order in unresolved
        ),
        differences=tuple(reconciliation.filter(differs)["con_id"]),
        held=held.get(intent.position_id),
        quotes=_quotes(intent, path),
    )


def _quotes(intent: OrderIntent, path: OrderPath) -> tuple[LegQuote, ...]:
    """The order's own legs, asked now."""
    quotes = path.market_data.quotes(
        contract_frame([leg.contract for leg in intent.legs]),
        timeout_seconds=path.parameters.snapshots.timeout_seconds,
    )
    quotes = with_worthless_bids(quotes, path.parameters.quality)
    return tuple(
        LegQuote(**row)
        for row in quotes.select("con_id", "bid", "ask", "quoted_at", "market_data_type").iter_rows(
            named=True
        )
    )
