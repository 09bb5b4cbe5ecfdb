"""Whether a listed contract is one that a client's pattern means."""

from trading_pipelines.domain.contracts import Contract
from trading_pipelines.simulated_gateway.source import ListedContract


def matches(pattern: Contract, listed: ListedContract) -> bool:
    """True when every field that the pattern sets is the contract's.

    A field is set when it is not empty; a multiplier of 1 is what a contract has when nobody said any.
    """
    contract = listed.contract
    exchanges = {contract.exchange, listed.primary_exchange, *listed.valid_exchanges.split(",")}
    return (
        pattern.security_type is contract.security_type
        and pattern.exchange in {"", *exchanges}
        and pattern.multiplier in (1.0, contract.multiplier)
        and pattern.local_symbol.split() in ([], contract.local_symbol.split())
        and all(
            not wanted or wanted == has
            for wanted, has in (
                (pattern.symbol, contract.symbol),
                (pattern.currency, contract.currency),
                (pattern.trading_class, contract.trading_class),
                (pattern.expiry, contract.expiry),
                (pattern.strike, contract.strike),
                (pattern.right, contract.right),
            )
        )
    )
