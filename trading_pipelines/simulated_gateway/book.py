"""What a market shows around a fair value: bid and ask on the tick grid, sizes, volume. Pure and seeded."""

import numpy as np
from numpy.typing import NDArray

from trading_pipelines.simulated_gateway.universe import Floats, Integers

_ROUNDING = 1e-9
_LOT = 10.0


def around(mid: Floats, width: Floats, tick: float) -> tuple[Floats, Floats]:
    """Bid and ask on the tick grid about `width` apart, at least one tick; a bid of 0 means: none."""
    bid = np.maximum(np.rint((mid - width / 2) / tick), 0.0)
    ask = np.maximum(np.rint((mid + width / 2) / tick), bid + 1.0)
    return bid * tick, ask * tick


def inside(mid: Floats, tick: float) -> tuple[Floats, Floats]:
    """Bid and ask one tick apart with `mid` between them: the book of a liquid stock or future."""
    bid = np.floor(mid / tick + _ROUNDING)
    return bid * tick, (bid + 1.0) * tick


def on_tick(price: Floats, tick: float) -> Floats:
    """The nearest price on the tick grid."""
    return np.asarray(np.rint(price / tick) * tick)


def sizes(seed: int, con_ids: Integers, minute: int, side: int) -> Floats:
    """What is bid (side 0) or offered (side 1) in a minute, in lots."""
    return np.asarray(_LOT * (1 + np.floor(50 * uniform(seed, con_ids, 2 * minute + side) ** 2)))


def session_volume(seed: int, con_ids: Integers, day: int, typical: Floats) -> Floats:
    """Contracts or shares traded in a whole session, scattered around what is typical."""
    return np.asarray(typical * np.exp(1.2 * (uniform(seed, con_ids, -1 - day) - 0.5)))


def uniform(seed: int, con_ids: Integers, index: int) -> Floats:
    """A number in [0, 1) for each con_id that depends on nothing but the arguments (splitmix64)."""
    with np.errstate(over="ignore"):  # the wrap-around is the hash
        mixed: NDArray[np.uint64] = con_ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed += np.uint64((seed * 0xBF58476D1CE4E5B9 + index * 0x94D049BB133111EB) % (1 << 64))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53))
