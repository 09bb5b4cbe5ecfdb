"""Contracts between wire and domain: what a client asked for, and how a listed contract is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from trading_pipelines.domain.contracts import Contract, Right, SecurityType
from trading_pipelines.domain.errors import SchemaMismatch
from trading_pipelines.simulated_gateway.source import ListedContract, MarketSource
from trading_pipelines.simulated_gateway.wire import Field, Fields

_RIGHTS = {"C": Right.CALL, "CALL": Right.CALL, "P": Right.PUT, "PUT": Right.PUT}


@dataclass(frozen=True, slots=True)
class ContractQuery:
    """The twelve contract fields of a request, empty where the client left them open."""

    con_id: int
    symbol: str
    security_type: str
    expiry: str
    strike: float
    right: str
    multiplier: str
    exchange: str
    primary_exchange: str
    currency: str
    local_symbol: str
    trading_class: str

    @property
    def is_combo(self) -> bool:
        """Whether the client means a combination."""
        return self.security_type == SecurityType.COMBO


def read_contract(fields: Fields) -> ContractQuery:
    """The contract at the cursor."""
    return ContractQuery(
        con_id=fields.integer(),
        symbol=fields.text(),
        security_type=fields.text(),
        expiry=fields.text(),
        strike=fields.number(),
        right=fields.text(),
        multiplier=fields.text(),
        exchange=fields.text(),
        primary_exchange=fields.text(),
        currency=fields.text(),
        local_symbol=fields.text(),
        trading_class=fields.text(),
    )


def look_up(source: MarketSource, query: ContractQuery) -> Sequence[ListedContract]:
    """Every listed contract a query means, in the source's order; empty when there is none.

    An expiry may be a month (202409). A con_id says it all; the other fields are then not compared,
    as at IB.
    """
    if query.con_id:
        listed = source.contract(query.con_id)
        return [listed] if listed else []
    day = _day(query.expiry)
    found = source.find(
        Contract(
            security_type=SecurityType(query.security_type),
            symbol=query.symbol,
            exchange=query.exchange,
            currency=query.currency,
            local_symbol=query.local_symbol,
            trading_class=query.trading_class,
            multiplier=_multiplier(query.multiplier),
            expiry=day,
            strike=query.strike or None,
            right=_RIGHTS.get(query.right.upper()),
        )
    )
    if day is not None or not query.expiry:
        return found
    return [listed for listed in found if written_expiry(listed).startswith(query.expiry)]


def is_valid(query: ContractQuery) -> bool:
    """Whether a query says enough to look for: a con_id, or a known security type."""
    return bool(query.con_id) or query.security_type in set(SecurityType)


def _multiplier(text: str) -> float:
    try:
        return float(text or 1)
    except ValueError as error:
        raise SchemaMismatch(f"{text!r} is no multiplier") from error


def _day(expiry: str) -> date | None:
    if len(expiry) != len("20240920"):
        return None
    try:
        return datetime.strptime(expiry, "%Y%m%d").date()  # noqa: DTZ007 — a date has no zone
    except ValueError as error:
        raise SchemaMismatch(f"{expiry!r} is no expiry") from error


def written_expiry(listed: ListedContract) -> str:
    """The expiry as the wire writes it, empty when there is none."""
    return listed.contract.expiry.strftime("%Y%m%d") if listed.contract.expiry else ""


def written_multiplier(contract: Contract) -> str:
    """The multiplier as the wire writes it: nothing for what has none."""
    if contract.security_type in {SecurityType.STOCK, SecurityType.INDEX}:
        return ""
    return f"{contract.multiplier:g}"


def contract_fields(listed: ListedContract, exchange: str) -> tuple[Field, ...]:
    """The eleven contract fields of a reply; messages differ in which exchange they name."""
    contract = listed.contract
    return (
        contract.con_id,
        contract.symbol,
        contract.security_type.value,
        written_expiry(listed),
        contract.strike or 0.0,
        contract.right.value if contract.right else "",
        written_multiplier(contract),
        exchange,
        contract.currency,
        contract.local_symbol,
        contract.trading_class,
    )


def query_fields(query: ContractQuery) -> tuple[Field, ...]:
    """The eleven contract fields of a reply about a combo, which is no listed contract."""
    return (
        query.con_id,
        query.symbol,
        query.security_type,
        query.expiry,
        query.strike,
        query.right,
        query.multiplier,
        query.exchange,
        query.currency,
        query.local_symbol,
        query.trading_class,
    )
