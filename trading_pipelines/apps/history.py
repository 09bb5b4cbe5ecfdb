"""Bringing recorded history into the lake, with progress."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from trading_pipelines.adapters import lean
from trading_pipelines.adapters.delta import Lake
from trading_pipelines.apps.home import KEEP
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.settings import SIMULATION_MARKER, Settings
from trading_pipelines.workflows.import_recordings import Imported, import_recordings


def import_lean(root: Path, settings: Settings) -> None:
    """Read a LEAN data root into the lake; SchemaMismatch names an unfit file, and nothing is written."""
    if not root.is_dir():
        raise MissingData(f"there is no folder {root}", "name the folder that holds equity, option, …")
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading", total=None)

        def report(imported: Imported) -> None:
            progress.update(
                task, completed=imported.number, total=imported.files, description=imported.source
            )

        done = import_recordings(lambda: lean.recordings(root), Lake(settings.lake), report)
    rows: dict[str, int] = {}
    for each in done:
        rows[each.table] = rows.get(each.table, 0) + each.rows
    for table, count in sorted(rows.items()):
        console.print(f"{table}: {count:,} rows")
    if (settings.data / SIMULATION_MARKER).exists():
        (settings.data / KEEP).touch()  # the next simulation must not clear what was imported
    console.print(f"{len(done)} files imported into {settings.lake}")
