"""The command line: every command is a thin call, and every expected failure one clear line."""

import signal
import sys
from datetime import UTC, datetime, timedelta
from datetime import date as day
from pathlib import Path
from typing import Annotated

import typer

from trading_pipelines import settings
from trading_pipelines.domain.errors import ConfigError, TradingError

app = typer.Typer(
    help="Automated options and futures trading for one Interactive Brokers account.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
importing = typer.Typer(help="Bring history into the lake.", no_args_is_help=True)
app.add_typer(importing, name="import")

DEMO_DATE = "2024-06-12"
DateOption = Annotated[str, typer.Option("--date", help="NYSE session, YYYY-MM-DD")]
SeedOption = Annotated[int, typer.Option(help="Seed of the synthetic market: the same seed, the same fills")]
ReplayOption = Annotated[Path | None, typer.Option(help="LEAN data root or lake: replay recorded quotes")]
UnderlyingOption = Annotated[str | None, typer.Option(help="Underlyings to replay, separated by commas")]
ConfigOption = Annotated[Path | None, typer.Option(help="Configuration laid over the profile")]


@app.command()
def demo(
    date: DateOption = DEMO_DATE,
    seed: SeedOption = 7,
    replay: ReplayOption = None,
    underlying: UnderlyingOption = None,
    config: ConfigOption = None,
    ticks: Annotated[int | None, typer.Option(min=1, help="Stop after this many ticks")] = None,
) -> None:
    """Run one whole session through the real Dagster jobs against the simulated gateway."""
    from trading_pipelines.apps import demo as demonstration

    plan = demonstration.Plan(
        session=_date(date),
        seed=seed,
        replay=replay,
        underlyings=_names(underlying),
        config=config,
        ticks=ticks,
    )
    raise typer.Exit(demonstration.run(plan))


@app.command()
def up(
    date: DateOption = DEMO_DATE,
    seed: SeedOption = 7,
    port: Annotated[
        int, typer.Option(min=1, max=65534, help="Port of the simulated gateway; the next steps its clock")
    ] = 4002,
    web_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web UI")] = 3000,
) -> None:
    """Start gateway, Dagster web UI and daemon on loopback; Ctrl-C stops all of them."""
    from trading_pipelines.apps import up as everything

    raise typer.Exit(everything.run(everything.Plan(_date(date), seed, port, web_port)))


@app.command()
def gateway(
    port: Annotated[int, typer.Option(min=1, max=65534, help="Port for TWS clients")] = 4002,
    control_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Loopback port to step the clock; default port + 1")
    ] = None,
    seed: SeedOption = 7,
    replay: ReplayOption = None,
    underlying: UnderlyingOption = None,
    date: DateOption = DEMO_DATE,
    start: Annotated[str, typer.Option(help="Where the clock starts, New York time")] = "09:25",
    speed: Annotated[float, typer.Option(help="Clock speed; 0 waits to be stepped")] = 1.0,
    limits: Annotated[bool, typer.Option(help="Pacing and line limits, as at IB")] = True,
    log: Annotated[Path | None, typer.Option(help="Ground-truth log (JSON lines)")] = None,
) -> None:
    """Run the simulated IB Gateway alone."""
    from trading_pipelines.apps import gateway as server

    server.run(
        server.Options(
            port=port,
            control_port=control_port if control_port is not None else port + 1,
            seed=seed,
            replay=replay,
            underlyings=_names(underlying),
            session=_date(date),
            start=start,
            speed=speed,
            limits=limits,
            log=log,
        )
    )


@importing.command("lean")
def import_lean(root: Annotated[Path, typer.Argument(help="Folder in LEAN's layout")]) -> None:
    """Read LEAN's zip/CSV history into the lake."""
    from trading_pipelines.apps import history

    history.import_lean(root, settings.load())


@app.command()
def doctor() -> None:
    """Check every dependency, connection, clock and table, one line each."""
    from trading_pipelines.apps import doctor as checkup

    raise typer.Exit(checkup.run())


@app.command()
def arm(
    minutes: Annotated[int, typer.Option(min=1, max=24 * 60, help="How long the arming lasts")] = 480,
) -> None:
    """Allow orders of the configured mode and account for a while."""
    from trading_pipelines.adapters.journal import SqliteJournal

    loaded, now = settings.load(), datetime.now(UTC)
    until = now + timedelta(minutes=minutes)
    account = loaded.parameters.account.account
    SqliteJournal(loaded.journal).arm(loaded.mode, account, until, now)
    typer.echo(f"armed: {loaded.mode}, account {account}, until {until:%Y-%m-%d %H:%M} UTC")
    if loaded.mode is settings.Mode.SIMULATED:
        typer.echo("simulated mode trades without it")


@app.command()
def disarm() -> None:
    """Withdraw every arming."""
    from trading_pipelines.adapters.journal import SqliteJournal

    SqliteJournal(settings.load().journal).disarm(datetime.now(UTC))
    typer.echo("disarmed: paper and live orders are refused")


@app.command()
def halt(reason: Annotated[str, typer.Argument(help="Why, for whoever finds it")]) -> None:
    """Throw the kill switch: no order leaves until `resume`."""
    from trading_pipelines.adapters.journal import SqliteJournal

    if not reason.strip():
        raise ConfigError("a halt needs a reason", "say why, for whoever finds it")
    SqliteJournal(settings.load().journal).halt(reason, datetime.now(UTC))
    typer.echo(f"halted: {reason}")
    typer.echo("no order leaves until `trading-pipelines resume`; what works at the broker goes on working")


@app.command()
def resume() -> None:
    """Release the kill switch."""
    from trading_pipelines.adapters.journal import SqliteJournal

    SqliteJournal(settings.load().journal).resume(datetime.now(UTC))
    typer.echo("resumed: orders may leave again")


@app.command()
def orders(session: Annotated[str | None, typer.Option(help="Only this session")] = None) -> None:
    """Show the journal's orders."""
    from trading_pipelines.apps import orders as journal

    journal.show_orders(settings.load(), _date(session) if session else None)


@app.command()
def explain(order_ref: Annotated[str, typer.Argument(help="The order's reference, tp1-…")]) -> None:
    """Trace one order back to its fills, checks, rule, quotes and code."""
    from trading_pipelines.apps import orders as journal

    journal.explain(settings.load(), order_ref)


def _date(text: str) -> day:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (a date has no zone)
    except ValueError:
        raise ConfigError(f"{text!r} is not a date", "write YYYY-MM-DD") from None


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip().upper() for name in (text or "").split(",") if name.strip())


def main() -> None:
    """Entry point: an expected error is one line on stderr and exit code 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a command ends what it started
    try:
        app()
    except TradingError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
