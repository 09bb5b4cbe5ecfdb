from trading_pipelines.domain.columns import COLUMNS
from trading_pipelines.domain.tables import TABLES


def test_every_column_of_every_table_is_described_and_nothing_else() -> None:
    assert {name for table in TABLES for name in table.schema} == set(COLUMNS)


def test_a_description_is_one_line_that_fits_the_web_ui() -> None:
    assert [name for name, text in COLUMNS.items() if not 3 < len(text) <= 90 or text.endswith(".")] == []
