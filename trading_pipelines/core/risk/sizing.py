"""How many units an entry takes: the least that any limit allows."""

import math
from typing import NamedTuple

from trading_pipelines.domain.parameters import Parameters


class Size(NamedTuple):
    """Units, and the limit that allows no more of them."""

    units: int
    bound_by: str


def units(
    *,
    max_loss_usd: float,
    net_liquidation: float | None,
    open_max_loss_usd: float | None,
    parameters: Parameters,
) -> Size:
    """The largest number of units within every limit; 0 when one does not fit or a number is not known.

    `max_loss_usd` is of one unit, `open_max_loss_usd` the sum of the max losses already held or ordered,
    both in account currency.
    """
    if net_liquidation is None or not math.isfinite(net_liquidation) or net_liquidation <= 0:
        return Size(0, "net liquidation is not known")
    if open_max_loss_usd is None or not math.isfinite(open_max_loss_usd):
        return Size(0, "the portfolio's max loss is not known")
    if not math.isfinite(max_loss_usd) or max_loss_usd <= 0:
        return Size(0, "the unit's max loss is not known")
    sizing, risk = parameters.sizing, parameters.risk
    shares = {
        "sizing.risk_fraction": sizing.risk_fraction,
        "risk.max_order_risk_share": risk.max_order_risk_share,
        "risk.max_position_loss_share": risk.max_position_loss_share,
    }
    budgets = {name: share * net_liquidation for name, share in shares.items()}
    budgets["risk.max_portfolio_loss_share"] = (
        risk.max_portfolio_loss_share * net_liquidation - open_max_loss_usd
    )
    allowed = {name: math.floor(budget / max_loss_usd + 1e-9) for name, budget in budgets.items()}
    allowed["sizing.max_units"] = sizing.max_units
    allowed["risk.max_units_per_order"] = risk.max_units_per_order
    bound_by = min(allowed, key=lambda name: allowed[name])
    return Size(max(allowed[bound_by], 0), bound_by)
