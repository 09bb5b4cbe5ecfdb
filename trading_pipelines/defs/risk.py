"""The risk check of every intent, and the checks that hold the orders back."""

import dagster as dg
import polars as pl

from trading_pipelines.core.execution import combos
from trading_pipelines.core.risk import limits
from trading_pipelines.defs.lake_assets import fit_check, lake_asset
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import Tick, tick_of
from trading_pipelines.domain import tables
from trading_pipelines.workflows.assess import assess


@lake_asset(
    tables.VERDICTS,
    intents=tables.INTENTS,
    reconciliation=tables.RECONCILIATION,
    session_inputs={"account": tables.ACCOUNT},
)
def verdicts(
    context: dg.AssetExecutionContext,
    desk: Desk,
    intents: pl.DataFrame,
    reconciliation: pl.DataFrame,
    account: pl.DataFrame,
) -> pl.DataFrame:
    """Every pre-trade check of every intent, with value and limit; what is not known has failed."""
    tick = tick_of(context)
    orders = combos.read(intents)
    at_open = account.sort("as_of").item(0, "net_liquidation") if account.height else None
    given = assess(orders, desk.reading_path, account_at_open=at_open, reconciliation=reconciliation)
    return limits.frame(given, tick.session, tick.as_of)


@fit_check(tables.VERDICTS)
def every_intent_is_judged(tick: Tick, desk: Desk, frame: pl.DataFrame) -> list[str]:
    """Each intent of the tick has the verdict of its very payload, and no verdict is without intent."""
    wanted = desk.lake.read(tables.INTENTS, session=tick.session, as_of=tick.as_of)
    pairs = ("order_ref", "payload_hash")
    asked, judged = (set(rows.select(pairs).iter_rows()) for rows in (wanted, frame))
    return [f"{ref} has no verdict of its payload" for ref, _ in sorted(asked - judged)] + [
        f"{ref} was judged, but is no intent of this tick" for ref, _ in sorted(judged - asked)
    ]


@fit_check(tables.VERDICTS)
def no_breach_is_approved(tick: Tick, desk: Desk, frame: pl.DataFrame) -> list[str]:
    """An approved verdict has every check of the catalogue, and none that failed."""
    findings = []
    for (ref,), checks in frame.filter("approved").group_by("order_ref", maintain_order=True):
        failed = checks.filter(~pl.col("passed"))["check"].to_list()
        findings += [f"{ref} is approved, but {name} failed" for name in failed]
        if checks.height != len(limits.CHECKS):
            findings.append(f"{ref} is approved by {checks.height} checks, there are {len(limits.CHECKS)}")
    return findings


@fit_check(tables.VERDICTS)
def trading_is_allowed(tick: Tick, desk: Desk, frame: pl.DataFrame) -> list[str]:
    """The kill switch is off, and paper and live are armed."""
    halted = desk.journal.halted()
    if halted is not None:
        return [f"trading is halted: {halted}"]
    mode, account = desk.settings.mode, desk.account
    if frame.height and mode != "simulated" and not desk.journal.armed(mode, account, desk.clock.now()):
        return [f"mode {mode} is not armed for account {account}"]
    return []
