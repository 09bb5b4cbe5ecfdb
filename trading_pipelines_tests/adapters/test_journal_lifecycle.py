"""Any sequence of moves: the journal follows the order protocol, and merges only upwards."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.domain.errors import IllegalTransition
from trading_pipelines.domain.orders import OrderState as S
from trading_pipelines_tests.adapters.test_journal import AS_OF, intent

# Written out from the diagram of the order protocol, not from the code under test.
MAY_WORK = {S.SENDING, S.ACKED, S.WORKING, S.PARTIAL, S.CANCEL_SENT, S.UNKNOWN, S.NEEDS_HUMAN}
FINAL = {S.FILLED, S.REJECTED, S.PROVEN_ABSENT, S.ABANDONED}


class OrdersLife(RuleBasedStateMachine):
    """Random reports about one order."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.journal = SqliteJournal(Path(self.folder.name) / "journal.sqlite")
        self.journal.record_intent(intent(), AS_OF)
        self.path = [S.INTENT]
        self.filled = 0.0
        self.perm_id: int | None = None

    @rule(
        to=st.sampled_from(S),
        filled=st.none() | st.sampled_from([0.0, 1.0, 2.0]),
        perm_id=st.none() | st.just(900),
    )
    def report(self, to: S, filled: float | None, perm_id: int | None) -> None:
        before = self.journal.order("tp1-a")
        try:
            self.journal.transition("tp1-a", to, AS_OF, filled=filled, perm_id=perm_id)
        except IllegalTransition:
            assert self.journal.order("tp1-a") == before
        else:
            self.path.append(to)
            self.filled = max(self.filled, filled or 0.0)
            self.perm_id = perm_id or self.perm_id

    @invariant()
    def it_merges_only_upwards(self) -> None:
        record = self.journal.order("tp1-a")
        assert record is not None
        assert (record.state, record.filled, record.perm_id) == (self.path[-1], self.filled, self.perm_id)

    @invariant()
    def it_is_sent_at_most_once_and_only_from_an_intent(self) -> None:
        assert self.path.count(S.SENDING) <= 1
        assert self.path[:1] == [S.INTENT]
        assert S.INTENT not in self.path[1:]
        steps = set(zip(self.path, self.path[1:], strict=False))
        assert {before for before, to in steps if to is S.SENDING} <= {S.INTENT}
        assert {before for before, to in steps if to is S.ABANDONED} <= {S.INTENT, S.NEEDS_HUMAN}
        assert {before for before, to in steps if to is S.PROVEN_ABSENT} <= {S.UNKNOWN, S.NEEDS_HUMAN}
        assert {before for before, to in steps if before in FINAL and to is not before} == set()

    @invariant()
    def it_is_unresolved_exactly_while_it_may_work(self) -> None:
        assert bool(self.journal.orders(unresolved=True)) == (self.path[-1] in MAY_WORK)

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.folder.cleanup()


OrdersLife.TestCase.settings = settings(max_examples=80, stateful_step_count=15, deadline=None)
TestOrdersLife = OrdersLife.TestCase
