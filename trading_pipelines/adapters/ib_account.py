"""The account's values and positions at an IB gateway; what was not reported is neither zero nor flat."""

from datetime import datetime
from math import isnan
from typing import Any, Final

import ib_async as ib

from trading_pipelines.adapters import ib_contracts
from trading_pipelines.adapters.ib_session import IBSession
from trading_pipelines.domain.errors import BrokerUnavailable, ConfigError
from trading_pipelines.domain.positions import AccountState, BrokerPosition

ACCOUNT_TAGS: Final = (
    "NetLiquidation",
    "TotalCashValue",
    "BuyingPower",
    "AvailableFunds",
    "ExcessLiquidity",
    "InitMarginReq",
    "MaintMarginReq",
    "GrossPositionValue",
)
PROFIT_SECONDS: Final = 2.0
"""How long profit and loss is waited for; IB tells it once a second."""


class IBAccount:
    """One account of a session; ConfigError when the gateway does not serve it."""

    def __init__(self, session: IBSession, account: str) -> None:
        if account not in session.accounts:
            raise ConfigError(
                f"the gateway serves {', '.join(session.accounts)}, not {account}", "set account.account"
            )
        self._session = session
        self._account = account

    def state(self) -> AccountState:
        """Account values now, profit and loss where the gateway tells it in time.

        BrokerUnavailable when the summary lacks a value: it is not zero.
        """
        at, values, profit = self._session.call(self._account_values)
        return AccountState(
            account=self._account,
            at=at,
            net_liquidation=self._value(values, "NetLiquidation"),
            cash=self._value(values, "TotalCashValue"),
            buying_power=self._value(values, "BuyingPower"),
            available_funds=self._value(values, "AvailableFunds"),
            excess_liquidity=self._value(values, "ExcessLiquidity"),
            initial_margin=self._value(values, "InitMarginReq"),
            maintenance_margin=self._value(values, "MaintMarginReq"),
            daily_pnl=ib_contracts.known(profit.dailyPnL),
            realised_pnl=ib_contracts.known(profit.realizedPnL),
            unrealised_pnl=ib_contracts.known(profit.unrealizedPnL),
        )

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Every position of the account.

        An empty report is believed only when the account summary says that nothing is held;
        BrokerUnavailable otherwise.
        """
        reported = self._session.call(self._session.ib.reqPositionsAsync)
        held = [position for position in reported if position.account == self._account and position.position]
        if not held:
            _, values, _ = self._session.call(self._account_values)
            gross = self._value(values, "GrossPositionValue")
            if gross:
                raise BrokerUnavailable(
                    f"the gateway reports no positions of {self._account}, but a value of {gross:,.2f} held",
                    "wait until it has synchronised with IB",
                )
        return tuple(ib_contracts.from_position(position) for position in held)

    async def _account_values(self) -> tuple[datetime, dict[str, str], ib.PnL]:
        client: Any = self._session.client
        wrapper: Any = self._session.ib.wrapper
        at = await self._session.ib.reqCurrentTimeAsync()
        # A value that is missing from this answer must not be read from the last one.
        wrapper.acctSummary.clear()
        request_id = client.getReqId()
        answered = wrapper.startReq(request_id)
        client.reqAccountSummary(request_id, "All", ",".join(ACCOUNT_TAGS))
        await answered
        client.cancelAccountSummary(request_id)
        values = {v.tag: v.value for v in wrapper.acctSummary.values() if v.account == self._account}
        profit = self._session.ib.reqPnL(self._account)
        try:
            await self._session.until(lambda: not isnan(profit.dailyPnL), PROFIT_SECONDS)
        finally:
            if self._session.connected:
                self._session.ib.cancelPnL(self._account)
        return at, values, profit

    def _value(self, values: dict[str, str], tag: str) -> float:
        value = ib_contracts.known(values.get(tag))
        if value is None:
            raise BrokerUnavailable(
                f"the account summary of {self._account} has no {tag}",
                "wait until the gateway has synchronised",
            )
        return value
