"""Whether and at what price a limit order fills against one quote; the gateway and a backtest share it.

The model, for a buyer (a seller is its mirror image):

- A limit at or above the ask is marketable and fills at the ask, the far side of the market.
- A limit strictly between bid and ask fills at the limit, with probability `depth²`, where `depth`
  = (limit − bid) / (ask − bid) is how far it stands from the near side (0) to the far side (1):
  25 % at mid, 46 % at 0.35 of the way from mid to the far side. Somebody must come towards us; the
  square says that few do for a price near our own side.
- A limit at or below the bid joins a queue that this model does not see, and does not fill.

Each look at the market is one draw, so a resting order gets another chance at every look. Prices
may be negative, as those of a credit combo are. A market order is a limit of ±infinity.
"""

import hashlib
from datetime import UTC, datetime


def limit_fill(
    *, limit: float, bid: float | None, ask: float | None, is_buy: bool, draw: float
) -> float | None:
    """The price at which the order fills now, or None.

    `bid` and `ask` are None where that side has no quote; a side that is missing trades with nobody.
    `draw` is uniform in [0, 1). A NaN limit fills nothing. In a crossed or locked market only
    marketable orders fill.
    """
    near, far = (bid, ask) if is_buy else (ask, bid)
    sign = 1 if is_buy else -1
    if far is None:
        return None
    if sign * limit >= sign * far:
        return far
    if near is None or sign * (far - near) <= 0:
        return None
    depth = (limit - near) / (far - near)
    return limit if depth > 0 and draw < depth**2 else None


def uniform_draw(seed: int, order: str, at: datetime) -> float:
    """A number in [0, 1) that depends on nothing but its arguments.

    `order` is the order's reference or permanent id, `at` the clock's time: the same seed gives the
    same fills, whenever the messages arrive. 53 bits of SHA-256, so every value is a float below 1.
    """
    digest = hashlib.sha256(f"{seed}|{order}|{at.astimezone(UTC).isoformat()}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2.0**53
