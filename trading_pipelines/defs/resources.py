"""The desk: everything an asset needs of the outside, opened at first use and closed with the run."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import cached_property
from typing import Literal

import dagster as dg
import polars as pl
from pydantic import PrivateAttr

from trading_pipelines import settings
from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.delta_io import FixedLakeClient, GuardedDbIOManager, GuardedTypeHandler
from trading_pipelines.adapters.ib_broker import IBBroker
from trading_pipelines.adapters.ib_history import IBHistory
from trading_pipelines.adapters.ib_market_data import IBMarketData
from trading_pipelines.adapters.ib_session import IBClock, IBSession
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.adapters.slack import SlackAlerts
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.settings import Settings
from trading_pipelines.workflows import history
from trading_pipelines.workflows.gate import OrderPath

Role = Literal["cycle", "execution", "futures", "reconciliation", "tools"]

JOB_ROLES: Mapping[str, Role] = {"futures_snapshots": "futures", "reconcile": "reconciliation"}
"""Jobs that may run beside the trading cycle, and so connect under a client id of their own."""


class Desk(dg.ConfigurableResource):
    """Settings, storage and broker of one run. A connection is made by the first asset that needs it."""

    _open: ExitStack = PrivateAttr(default_factory=ExitStack)
    _role: Role = PrivateAttr(default="cycle")
    _bars: dict[tuple[date, str], pl.DataFrame] = PrivateAttr(default_factory=dict)
    _sessions: dict[Role, IBSession] = PrivateAttr(default_factory=dict)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["Desk", None, None]:
        """Close every connection when the run ends, however it ends."""
        run = context.run
        self._role = JOB_ROLES.get(run.job_name, "cycle") if run else "cycle"
        with self._open:
            yield self

    @cached_property
    def settings(self) -> Settings:
        """Configuration as it is when the run starts."""
        return settings.load()

    @property
    def parameters(self) -> Parameters:
        """Every threshold."""
        return self.settings.parameters

    @property
    def account(self) -> str:
        """The account that trades."""
        return self.parameters.account.account

    @cached_property
    def lake(self) -> Lake:
        """The tables."""
        return Lake(self.settings.lake)

    @cached_property
    def journal(self) -> SqliteJournal:
        """What is durable before an order leaves."""
        return self._open.enter_context(SqliteJournal(self.settings.journal))

    @cached_property
    def alerts(self) -> SlackAlerts:
        """The way to a person."""
        token = self.settings.slack_token
        return SlackAlerts(self.parameters.alerts, token.get_secret_value() if token else None)

    def daily_bars_before(self, session: date, what: str) -> pl.DataFrame:
        """Daily bars that were complete before a session; read once a run."""
        if (session, what) not in self._bars:
            self._bars[session, what] = history.daily_bars_before(self.lake, session, what)
        return self._bars[session, what]

    def session(self, role: Role) -> IBSession:
        """The connection of one role, each under a client id of its own."""
        if role not in self._sessions:
            self._sessions[role] = self._open.enter_context(IBSession(self.parameters.broker, role))
        return self._sessions[role]

    @cached_property
    def clock(self) -> IBClock:
        """The broker's clock."""
        return IBClock(self.session(self._role))

    @cached_property
    def market_data(self) -> IBMarketData:
        """Contracts and quotes."""
        return IBMarketData(self.session(self._role))

    @cached_property
    def history(self) -> IBHistory:
        """Bars of the past."""
        return IBHistory(self.session(self._role))

    @cached_property
    def broker(self) -> IBBroker:
        """The account, for reading."""
        return IBBroker(self.session(self._role), self.account)

    @property
    def reading_path(self) -> OrderPath:
        """What the risk check looks at: the way of an order, over the connection that only reads."""
        return OrderPath(
            self.broker, self.market_data, self.journal, self.clock, self.parameters, self.settings.mode
        )

    @cached_property
    def order_broker(self) -> IBBroker:
        """The account under the client id that owns our orders; used by the execution op alone."""
        acknowledge = self.parameters.execution.acknowledge_seconds
        return IBBroker(self.session("execution"), self.account, acknowledge_seconds=acknowledge)


@dg.io_manager
def lake_io_manager(context: dg.InitResourceContext) -> GuardedDbIOManager:
    """The guarded way into the lake configured when the run starts; the journal says what is sealed."""
    loaded = settings.load()
    return GuardedDbIOManager(
        GuardedTypeHandler(journal_path=str(loaded.journal)), client=FixedLakeClient(loaded.lake)
    )
