"""Where the recorded quotes lie: beside the project, read there and never copied."""

from pathlib import Path

import pytest

MARKET_DATA = Path(__file__).resolve().parents[2] / "shared" / "market-data"
LEAN = MARKET_DATA / "lean"

needs_market_data = pytest.mark.skipif(
    not MARKET_DATA.is_dir(),
    reason=f"needs the recorded quotes of {MARKET_DATA.parent.name}/market-data beside the project",
)
