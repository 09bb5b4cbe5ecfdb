"""Configuration files and the environment, merged into frozen parameters; read at a start, never at import.

Order: `config/base.yaml`, the mode's profile, the files named in TRADING_PIPELINES_CONFIG, then
variables such as TRADING_PIPELINES__RISK__MAX_ORDERS_PER_DAY. Whatever is wrong names key and origin.
"""

import functools
import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trading_pipelines.domain.errors import ConfigError
from trading_pipelines.domain.model import Model
from trading_pipelines.domain.parameters import Parameters, PartitionParameters

PROJECT = Path(__file__).resolve().parents[1]
OVERRIDE_PREFIX = "TRADING_PIPELINES__"
PAPER_PORTS = (7497, 4002)
LIVE_PORTS = (7496, 4001)
SIMULATION_MARKER = ".simulated"
"""A data folder that carries this file was made by a simulation, and may be made anew by the next."""


class Mode(StrEnum):
    """Whose orders these are."""

    SIMULATED = "simulated"
    PAPER = "paper"
    LIVE = "live"


class Environment(BaseSettings):
    """The few things that only the environment says."""

    model_config = SettingsConfigDict(env_prefix="TRADING_PIPELINES_", extra="ignore", frozen=True)

    mode: Mode = Mode.SIMULATED
    config: str = ""
    """More configuration files, laid over the mode's profile, separated like PATH."""
    config_dir: Path = PROJECT / "config"
    data: Path = PROJECT / "data"
    """Journal, Dagster's storage and, unless `lake` says otherwise, the lake."""
    lake: str = ""
    """Root of the lake: a folder or an object-store URL."""
    clock_offset_seconds: int = 0
    """What the simulated gateway's clock is ahead of the wall clock; 0 outside simulated mode."""
    slack_token: SecretStr | None = None


class Settings(Model):
    """All that a start needs, checked as a whole."""

    mode: Mode
    parameters: Parameters
    data: Path
    lake: str
    clock_offset: timedelta
    slack_token: SecretStr | None
    config_hash: str
    code_version: str

    @property
    def journal(self) -> Path:
        """The journal's SQLite file."""
        return self.data / "journal.sqlite"


def load() -> Settings:
    """Settings from files and environment; ConfigError names every key that is wrong and its origin."""
    environment = _environment()
    merged, origins = _merge(environment)
    try:
        parameters = Parameters.model_validate(merged)
    except ValidationError as invalid:
        raise ConfigError(*_explain(invalid, origins)) from None
    settings = Settings(
        mode=environment.mode,
        parameters=parameters,
        data=environment.data,
        lake=environment.lake or str(environment.data / "lake"),
        clock_offset=timedelta(seconds=environment.clock_offset_seconds),
        slack_token=environment.slack_token,
        config_hash=hashlib.sha256(parameters.model_dump_json().encode()).hexdigest(),
        code_version=code_version(),
    )
    _refuse_mixed_accounts(settings)
    if settings.mode is not Mode.SIMULATED and (settings.data / SIMULATION_MARKER).exists():
        raise ConfigError(
            f"mode {settings.mode} in {settings.data}, which a simulation made and the next one clears",
            "set TRADING_PIPELINES_DATA to a folder of its own",
        )
    return settings


def first_session() -> date:
    """Where the partition calendars begin: Dagster needs it when definitions load, and nothing else."""
    merged, origins = _merge(_environment())
    try:
        return PartitionParameters.model_validate(merged.get("partitions")).first_session
    except ValidationError as invalid:
        raise ConfigError(*_explain(invalid, origins, "partitions")) from None


@functools.cache
def code_version() -> str:
    """The commit that runs, marked when the tree differs from it; `unversioned` outside a checkout."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("TRADING_PIPELINES_CODE_VERSION", "unversioned")


def _environment() -> Environment:
    try:
        return Environment()
    except ValidationError as invalid:
        error = invalid.errors()[0]
        name = f"TRADING_PIPELINES_{'.'.join(str(part) for part in error['loc']).upper()}"
        raise ConfigError(f"{name}: {error['msg']} (environment)", "unset it or give it a value") from None


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C where it was built
    """PyYAML lets the last of two equal keys win; a limit written twice must not start."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _merge(environment: Environment) -> tuple[dict[str, Any], dict[tuple[str, ...], str]]:
    """All sources laid over each other, and for each key path where its value came from."""
    files = [environment.config_dir / "base.yaml", environment.config_dir / f"{environment.mode}.yaml"]
    files += [Path(name) for name in environment.config.split(os.pathsep) if name]
    merged: dict[str, Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    for file in files:
        for path, value in _leaves(_read(file)):
            _put(merged, path, value)
            origins[path] = str(file)
    for name, text in sorted(os.environ.items()):
        if name.startswith(OVERRIDE_PREFIX):
            path = _as_written(merged, name.removeprefix(OVERRIDE_PREFIX).split("__"))
            try:
                value = yaml.safe_load(text)
            except yaml.YAMLError:
                raise ConfigError(
                    f"{name}={text!r} is not a value (environment)", "write it as YAML"
                ) from None
            _put(merged, path, value)
            origins[path] = f"environment, {name}"
    return merged, origins


def _read(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.load(file.read_text(), Loader=_StrictLoader)
    except FileNotFoundError:
        raise ConfigError(f"no configuration file {file}", "name an existing file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}", "name a text file in UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{file} is not valid YAML: {' '.join(str(error).split())}", "mend the file"
        ) from None
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file} holds no mapping of keys", "start from config/base.yaml")
    return content


def _as_written(tree: Any, parts: Sequence[str]) -> tuple[str, ...]:
    """The key path in the spelling of the files: variables are upper case, keys such as SPY may be too."""
    path = []
    for part in parts:
        keys = {str(key).lower(): str(key) for key in tree} if isinstance(tree, dict) else {}
        path.append(keys.get(part.lower(), part.lower()))
        tree = tree.get(path[-1]) if isinstance(tree, dict) else None
    return tuple(path)


def _leaves(tree: Mapping[Any, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[path[-1]] = value


def _explain(
    invalid: ValidationError, origins: Mapping[tuple[str, ...], str], section: str | None = None
) -> tuple[str, str]:
    """(problem, remedy) naming every wrong key with its origin."""
    problems = []
    for error in invalid.errors():
        path = tuple(str(part) for part in ((section, *error["loc"]) if section else error["loc"]))
        message = {"missing": "is missing", "extra_forbidden": "is not a known key"}.get(
            error["type"], error["msg"]
        )
        given = "" if error["type"] in {"missing", "extra_forbidden"} else f", not {error['input']!r}"
        problems.append(f"{'.'.join(path)} {message}{given} ({_origin(path, origins)})")
    return "; ".join(problems), "config/base.yaml lists every key and its meaning"


def _origin(path: tuple[str, ...], origins: Mapping[tuple[str, ...], str]) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    below = [origin for key, origin in origins.items() if key[: len(path)] == path]
    return below[-1] if below else "in none of the files"


def _refuse_mixed_accounts(settings: Settings) -> None:
    """Live and paper must not be mixed up: mode, port and account have to agree."""
    account, broker = settings.parameters.account, settings.parameters.broker
    remedy = "let mode, broker.port, account.account and account.allowed agree"
    if account.account not in account.allowed:
        raise ConfigError(f"account.account {account.account} is not in account.allowed", remedy)
    is_paper_account = account.account.startswith("D")
    if settings.mode is Mode.LIVE and (is_paper_account or broker.port not in LIVE_PORTS):
        raise ConfigError(f"mode live with account {account.account} and port {broker.port}", remedy)
    if settings.mode is Mode.PAPER and (not is_paper_account or broker.port not in PAPER_PORTS):
        raise ConfigError(f"mode paper with account {account.account} and port {broker.port}", remedy)
    if settings.mode is Mode.SIMULATED and broker.host not in {"127.0.0.1", "localhost", "::1"}:
        raise ConfigError(
            f"mode simulated with broker.host {broker.host}", "the simulated gateway is on this host"
        )
    if settings.mode is not Mode.SIMULATED and (not broker.messages_per_second or settings.clock_offset):
        raise ConfigError(
            f"mode {settings.mode} without pacing or with a shifted clock",
            "set broker.messages_per_second and unset TRADING_PIPELINES_CLOCK_OFFSET_SECONDS",
        )
