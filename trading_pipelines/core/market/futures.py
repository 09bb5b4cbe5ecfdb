"""Which futures contract of a root is the front one."""

from collections.abc import Sequence
from datetime import date, timedelta

from trading_pipelines.domain.contracts import Contract
from trading_pipelines.domain.errors import MissingData


def front_contract(listed: Sequence[Contract], day: date, roll_days_before_expiry: int) -> Contract:
    """The nearest contract that expires more than `roll_days_before_expiry` days after `day`.

    MissingData names the root when none is left.
    """
    later = [
        contract
        for contract in listed
        if contract.expiry is not None and contract.expiry - day > timedelta(days=roll_days_before_expiry)
    ]
    if not later:
        symbols = sorted({contract.symbol for contract in listed}) or ["none listed"]
        raise MissingData(
            f"no future of {', '.join(symbols)} expires more than {roll_days_before_expiry} days after {day}",
            "check universe.futures and the broker's listing",
        )
    return min(later, key=lambda contract: contract.expiry or date.max)
