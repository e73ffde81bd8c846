"""The Parquet file holds what the export holds, typed."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tierwise.errors import BadRequest, ConfigError
from tierwise.ledger import Ledger, Reader, parquet
from tierwise.nouns import Usage
from unit.ledger.made import NOON, closed, opened

MOST = 2**63 - 1


@pytest.fixture
def arrow() -> Any:
    return pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


async def filled(ledger: Ledger) -> None:
    usage = Usage(1, 2, 3, 4, 5, 6, extra={"web_search": 7})
    await ledger.open(opened("a", 9, "task:t", tags=("x", "it's"), stream=True))
    await ledger.close(closed("a", MOST, usage=usage, ttft_us=8, losses=("sampling.top_k",)))
    await ledger.open(opened("b", 0, task="𝕌 \x00 '"))
    await ledger.close(closed("b", None, unpriced="no price", at_us=NOON + 123_456))


async def test_every_field_comes_back_with_its_type(
    arrow: Any, ledger: Ledger, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP", 3)
    await filled(ledger)
    path = tmp_path / "l.parquet"
    assert parquet.write_parquet(reader.rows(), path) == 4
    assert [each.name for each in tmp_path.glob("*.part*")] == []
    file = arrow.ParquetFile(path)
    assert file.num_row_groups == 2
    assert str(file.schema_arrow.field("at").type) == "timestamp[us, tz=UTC]"
    assert {str(file.schema_arrow.field(name).type) for name in ("cost_pico", "input", "total_us")} == {
        "int64"
    }
    rows = file.read().to_pylist()
    for row, said in zip(rows, reader.rows(), strict=True):
        assert row["at"] == datetime.fromisoformat(said.pop("at")).astimezone(UTC)
        usage, extra = said.pop("usage"), said.pop("usage_extra")
        assert row["input"] == (usage["input"] if usage else None)
        assert row["usage_extra"] == (list(extra.items()) if extra is not None else None)
        assert {name: row[name] for name in said} == said
    assert sum(row["cost_pico"] or 0 for row in rows) == MOST


async def test_a_file_that_exists_is_left_alone_and_one_that_fails_does_not_appear(
    arrow: Any, ledger: Ledger, reader: Reader, tmp_path: Path
) -> None:
    await filled(ledger)
    path = tmp_path / "l.parquet"
    path.write_text("mine")
    with pytest.raises(BadRequest, match="exists"):
        parquet.write_parquet(reader.rows(), path)
    assert path.read_text() == "mine"

    def broken() -> Any:
        yield next(iter(reader.rows()))
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError):
        parquet.write_parquet(broken(), tmp_path / "other.parquet")
    assert sorted(each.name for each in tmp_path.glob("*parquet*")) == ["l.parquet"]


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as refused:
        parquet.write_parquet([], tmp_path / "l.parquet")
    assert "pip install 'tierwise[parquet]'" in refused.value.sentence()
