"""What of a tick a person is told."""

import dagster as dg
import polars as pl

from trading_pipelines.core import alerts as told
from trading_pipelines.defs.lake_assets import lake_asset
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import tick_of
from trading_pipelines.domain import tables
from trading_pipelines.domain.decisions import Alert, Severity


@lake_asset(
    tables.ALERTS,
    decisions=tables.DECISIONS,
    verdicts=tables.VERDICTS,
    orders=tables.ORDERS,
    reconciliation=tables.RECONCILIATION,
)
def alerts(
    context: dg.AssetExecutionContext,
    desk: Desk,
    decisions: pl.DataFrame,
    verdicts: pl.DataFrame,
    orders: pl.DataFrame,
    reconciliation: pl.DataFrame,
) -> pl.DataFrame:
    """Tell a person what is new, once; without a Slack token it is logged."""
    tick = tick_of(context)
    earlier = desk.lake.read(tables.ALERTS, session=tick.session).filter(pl.col("as_of") < tick.as_of)
    reachable = desk.settings.slack_token is not None  # only then may another try reach somebody
    known = set(earlier.filter(pl.col("delivered") | (not reachable))["key"])
    found = told.alerts(decisions, verdicts, orders, reconciliation, tick.as_of)
    rows = [
        alert.model_dump() | {"delivered": desk.alerts.send(alert)}
        for alert in found
        if alert.key not in known
    ]
    columns = ("key", "severity", "title", "text", "at", "delivered")
    return pl.DataFrame(rows, schema={name: tables.ALERTS.schema[name] for name in columns}).with_columns(
        session=pl.lit(tick.session), as_of=pl.lit(tick.as_of).cast(tables.UTC_TIME)
    )


def tell(context: dg.AssetExecutionContext, desk: Desk, title: str, text: str) -> None:
    """A message to a person, kept as metadata of the asset that wrote it."""
    tick = tick_of(context)
    alert = Alert(key=f"{title} {tick.as_of}", severity=Severity.INFO, title=title, text=text, at=tick.as_of)
    delivered = desk.alerts.send(alert)
    context.add_output_metadata({"text": dg.MetadataValue.md(text), "delivered": delivered})
