"""The order path on fakes and a real journal, as the workflow tests use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.domain.orders import CheckResult, OrderIntent, OrderState, RiskVerdict
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.workflows.submit import Outcome, submit
from trading_pipelines_tests.builders import AS_OF, parameters
from trading_pipelines_tests.fakes import CrashPoints, FakeBroker, FakeClock, FakeMarketData


def verdict(intent: OrderIntent, **changes: Any) -> RiskVerdict:
    """Approved at the tick, good for a minute."""
    values: dict[str, Any] = {
        "order_ref": intent.order_ref,
        "decision_id": intent.decision_id,
        "payload_hash": intent.payload_hash,
        "checks": (CheckResult(name="size", passed=True),),
        "checked_at": AS_OF,
        "valid_until": AS_OF + timedelta(seconds=60),
        **changes,
    }
    return RiskVerdict(**values)


class Desk:
    """One account: its journal, a clock, a market and a broker."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.clock = FakeClock()
        self.market_data = FakeMarketData(self.clock)
        self.broker = FakeBroker(self.clock)
        self.parameters: Parameters = parameters()
        self.mode = "simulated"

    def submit(
        self,
        *intents: OrderIntent,
        verdicts: list[RiskVerdict] | None = None,
        crash: CrashPoints | None = None,
    ) -> tuple[Outcome, ...]:
        """The workflow on this desk, with approved verdicts unless others are given."""
        points = crash or CrashPoints(None)
        return submit(
            intents,
            [verdict(intent) for intent in intents] if verdicts is None else verdicts,
            broker=points.wrap(self.broker),
            market_data=points.wrap(self.market_data),
            journal=points.wrap(self.journal),
            clock=points.wrap(self.clock),
            parameters=self.parameters,
            mode=self.mode,
            pause=self.clock.advance,
        )

    def state(self, order_ref: str) -> OrderState:
        """Where the journal says an order stands."""
        record = self.journal.order(order_ref)
        assert record is not None
        return record.state

    def hold(self, position: StrategyPosition) -> None:
        """Have a position in our books and at the broker."""
        self.journal.save_position(position, self.clock.now())
        for leg in position.legs:
            self.broker.holds[leg.contract.con_id] = (leg.contract, leg.signed_ratio * position.units * 1.0)


@contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """A desk on a new journal."""
    with SqliteJournal(folder / "journal.db") as journal:
        yield Desk(journal)
