"""Configuration refuses to start when a value is not sane, and says which key of which file."""

from datetime import date
from pathlib import Path

import pytest

from trading_pipelines import settings
from trading_pipelines.domain.errors import ConfigError


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write(text: str) -> Path:
        file = tmp_path / "overlay.yaml"
        file.write_text(text)
        monkeypatch.setenv("TRADING_PIPELINES_CONFIG", str(file))
        return file

    return write


def test_base_and_simulated_profile_load():
    loaded = settings.load()
    assert loaded.mode is settings.Mode.SIMULATED
    assert loaded.parameters.risk.max_orders_per_day == 40
    assert loaded.parameters.broker.messages_per_second == 0  # the profile over base.yaml


def test_every_profile_is_valid(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRADING_PIPELINES_MODE", "paper")
    assert settings.load().parameters.broker.port == 7497
    monkeypatch.setenv("TRADING_PIPELINES_MODE", "live")
    monkeypatch.setenv("TRADING_PIPELINES__ACCOUNT__ACCOUNT", "U7654321")
    monkeypatch.setenv("TRADING_PIPELINES__ACCOUNT__ALLOWED", "[U7654321]")
    assert settings.load().parameters.broker.port == 7496


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("risk: {max_order_risk_share: -0.1}", "risk.max_order_risk_share"),
        ("risk: {max_order_risk_share: .nan}", "risk.max_order_risk_share"),
        ("risk: {max_price_deviation_usd: .inf}", "risk.max_price_deviation_usd"),
        ("risk: {max_orders_per_day: many}", "risk.max_orders_per_day"),
        ("risk: {max_orders_per_day: null}", "risk.max_orders_per_day"),
        ("risk: {max_order_risk_shares: 0.1}", "risk.max_order_risk_shares"),
        ("riks: {max_orders_per_day: 1}", "riks"),
        ("sizing: {risk_fraction: 1.5}", "sizing.risk_fraction"),
        ("broker: {messages_per_second: 51}", "broker.messages_per_second"),
    ],
)
def test_an_insane_value_names_its_key_and_file(overlay, text: str, key: str):
    file = overlay(text)
    with pytest.raises(ConfigError) as refused:
        settings.load()
    assert key in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_missing_limit_is_not_infinite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "config"
    folder.mkdir()
    base = (settings.PROJECT / "config" / "base.yaml").read_text()
    (folder / "simulated.yaml").write_text("")
    (folder / "base.yaml").write_text(
        "\n".join(line for line in base.splitlines() if not line.strip().startswith("max_orders_per_day"))
    )
    monkeypatch.setenv("TRADING_PIPELINES_CONFIG_DIR", str(folder))
    with pytest.raises(ConfigError, match=r"risk\.max_orders_per_day is missing .*base\.yaml"):
        settings.load()


def test_a_key_written_twice_does_not_start(overlay):
    file = overlay("risk: {max_orders_per_day: 40, max_orders_per_day: 4000}")
    with pytest.raises(ConfigError, match="stands twice") as refused:
        settings.load()
    assert str(file) in str(refused.value)


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRADING_PIPELINES_CONFIG", "no/such.yaml")
    with pytest.raises(ConfigError, match=r"no configuration file no/such\.yaml"):
        settings.load()


def test_the_environment_wins_and_is_checked_like_a_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRADING_PIPELINES__RISK__MAX_ORDERS_PER_DAY", "7")
    assert settings.load().parameters.risk.max_orders_per_day == 7
    monkeypatch.setenv("TRADING_PIPELINES__RISK__MAX_ORDERS_PER_DAY", "-7")
    with pytest.raises(ConfigError, match=r"risk\.max_orders_per_day .*environment, TRADING_PIPELINES__RISK"):
        settings.load()


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRADING_PIPELINES_MODE", "yolo")
    with pytest.raises(ConfigError, match="TRADING_PIPELINES_MODE"):
        settings.load()


@pytest.mark.parametrize(
    ("mode", "overrides"),
    [
        ("live", {}),  # base.yaml's account is a paper account
        ("live", {"BROKER__PORT": "7497", "ACCOUNT__ACCOUNT": "U1", "ACCOUNT__ALLOWED": "[U1]"}),
        ("paper", {"ACCOUNT__ACCOUNT": "U1", "ACCOUNT__ALLOWED": "[U1]"}),
        ("paper", {"BROKER__PORT": "7496"}),
        ("paper", {"BROKER__MESSAGES_PER_SECOND": "0"}),
        ("simulated", {"BROKER__HOST": "gateway.example"}),
        ("simulated", {"ACCOUNT__ALLOWED": "[DU7]"}),
    ],
)
def test_mode_port_and_account_must_agree(
    monkeypatch: pytest.MonkeyPatch, mode: str, overrides: dict[str, str]
):
    monkeypatch.setenv("TRADING_PIPELINES_MODE", mode)
    for key, value in overrides.items():
        monkeypatch.setenv(f"TRADING_PIPELINES__{key}", value)
    with pytest.raises(ConfigError):
        settings.load()


def test_a_shifted_clock_is_for_the_simulation_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRADING_PIPELINES_MODE", "paper")
    monkeypatch.setenv("TRADING_PIPELINES_CLOCK_OFFSET_SECONDS", "300")
    with pytest.raises(ConfigError, match="shifted clock"):
        settings.load()


def test_first_session_is_configuration(monkeypatch: pytest.MonkeyPatch):
    assert settings.first_session() == date(2024, 1, 2)
    monkeypatch.setenv("TRADING_PIPELINES__PARTITIONS__FIRST_SESSION", "2015-12-21")
    assert settings.first_session() == date(2015, 12, 21)


def test_the_config_hash_tells_configurations_apart(monkeypatch: pytest.MonkeyPatch):
    before = settings.load().config_hash
    assert settings.load().config_hash == before
    monkeypatch.setenv("TRADING_PIPELINES__RISK__MAX_ORDERS_PER_DAY", "7")
    assert settings.load().config_hash != before


def test_replay_profile_overlays_the_simulation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRADING_PIPELINES_CONFIG", str(settings.PROJECT / "config" / "replay.yaml"))
    assert settings.load().parameters.entries.vix_when_missing == 18


def test_a_truth_value_is_no_limit(overlay):
    overlay("risk: {max_order_risk_share: yes}")
    with pytest.raises(ConfigError, match=r"risk\.max_order_risk_share"):
        settings.load()


def test_a_variable_finds_a_key_in_the_spelling_of_the_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRADING_PIPELINES__STRIKES__WIDTH__SPY", "5")
    assert settings.load().parameters.strikes.width["SPY"] == 5
    assert "spy" not in settings.load().parameters.strikes.width


def test_a_variable_or_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TRADING_PIPELINES_CONFIG", str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be read"):
        settings.load()
    monkeypatch.delenv("TRADING_PIPELINES_CONFIG")
    monkeypatch.setenv("TRADING_PIPELINES__RISK__MAX_ORDERS_PER_DAY", "[1")
    with pytest.raises(ConfigError, match="TRADING_PIPELINES__RISK__MAX_ORDERS_PER_DAY"):
        settings.load()


def test_paper_and_live_refuse_a_folder_that_the_next_simulation_clears(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("TRADING_PIPELINES_DATA", str(tmp_path))
    (tmp_path / settings.SIMULATION_MARKER).touch()
    settings.load()
    monkeypatch.setenv("TRADING_PIPELINES_MODE", "paper")
    with pytest.raises(ConfigError, match="TRADING_PIPELINES_DATA"):
        settings.load()
