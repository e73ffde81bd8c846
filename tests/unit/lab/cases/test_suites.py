"""Suites: every format, and every way to get one wrong."""

from __future__ import annotations

import builtins
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tierwise.errors import SuiteError
from tierwise.lab.cases.suites import Shape, read_suite


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, **shape: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        read_suite(path, Shape(**shape))
    return caught.value.sentence()


ROWS = [
    {"input": "Card was charged twice", "expected": "Billing"},
    {"input": "It crashes", "expected": "Technical"},
]


def test_every_format_of_the_same_rows_is_one_suite(tmp_path: Path) -> None:
    files = [
        put(tmp_path, "a.csv", "input,expected\nCard was charged twice,Billing\nIt crashes,Technical\n"),
        put(tmp_path, "b.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
        put(tmp_path, "c.json", json.dumps({"cases": ROWS, "task": "classification"})),
        put(
            tmp_path,
            "d.yaml",
            "- {input: Card was charged twice, expected: Billing}\n"
            "- {input: It crashes, expected: Technical}\n",
        ),
        put(
            tmp_path,
            "e.tsv",
            "\ufeffinput\texpected\nCard was charged twice\tBilling\nIt crashes\tTechnical\n",
        ),
    ]
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(files[0].read_bytes()))
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    suites = [read_suite(path) for path in [*files, tmp_path / "f.csv.gz"]]
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "g.parquet")
    suites.append(read_suite(tmp_path / "g.parquet"))
    assert len({suite.hash for suite in suites}) == 1
    assert [case.target for case in suites[0].cases] == ["Billing", "Technical"]
    assert suites[0].cases[0].messages == ({"role": "user", "content": "Card was charged twice"},)
    assert suites[2].task == "classification"
    assert suites[5].name == "f"


def test_ids_are_hashes_of_the_content_and_the_suite_hash_does_not_see_the_order(tmp_path: Path) -> None:
    one = read_suite(put(tmp_path, "a.csv", "input,target\na,1\nb,2\n"))
    other = read_suite(put(tmp_path, "b.csv", "input,target\nb,2\na,1\n"))
    changed = read_suite(put(tmp_path, "c.csv", "input,target\nb,2\na,3\n"))
    assert {c.id for c in one.cases} == {c.id for c in other.cases}
    assert one.hash == other.hash != changed.hash


def test_a_damaged_gzip_file_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    whole = gzip.compress(b"input,target\n" + b"".join(b"q%d,yes\n" % i for i in range(500)))
    for damaged in (whole[:200], b"input,target\n", whole[:60] + bytes(range(256)) * 2):
        path.write_bytes(damaged)
        assert "cannot be read" in refused(path)


def test_plain_words_of_yaml_stay_as_written(tmp_path: Path) -> None:
    """YAML 1.1 reads yes as true, 12:30 as 750 and 007 as 7; a label is a label."""
    words = ["yes", "No", "on", "12:30", "007", "2024-01-01", "1_000", "0x1F", "n"]
    text = "".join(f"- input: q {word}\n  target: {word}\n" for word in words)
    assert [case.target for case in read_suite(put(tmp_path, "a.yaml", text)).cases] == words
    text = "- {input: a, target: true}\n- {input: b, target: 5}\n- {input: c, target: -1.5e3}\n"
    assert [case.target for case in read_suite(put(tmp_path, "b.yaml", text)).cases] == [True, 5, -1500]


def test_columns_by_option_metadata_and_clusters(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        "a.csv",
        'nr,frage,soll,doc,metadata.lang,metadata\n1,x,y,d1,de,"{""k"": 2}"\n2,z,w,d2,en,\n',
    )
    suite = read_suite(
        path, Shape(columns={"id": "nr", "input": "frage", "target": "soll", "cluster": "doc"})
    )
    first = suite.cases[0]
    assert (first.id, first.input, first.target, first.cluster) == ("1", "x", "y", "d1")
    assert first.metadata == {"lang": "de", "k": 2}


def test_prompt_templates_as_text_and_as_messages(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "question,lang,answer\nwhat?,de,42\n")
    text = read_suite(path, Shape(prompt="In {{ lang }}: {{question}}", system="Be brief in {{lang}}."))
    assert text.cases[0].messages == (
        {"role": "system", "content": "Be brief in de."}, {"role": "user", "content": "In de: what?"},
    )  # fmt: skip
    listed = read_suite(
        path,
        Shape(prompt='[{"role": "system", "content": "S"}, {"role": "user", "content": "{{question}}"}]'),
    )
    assert [m["content"] for m in listed.cases[0].messages] == ["S", "what?"]
    assert "Did you mean 'question'" in refused(path, prompt="{{qestion}}")
    # The prompt is part of what was asked: another prompt is another suite.
    assert text.hash != listed.hash


def test_openai_evals_rows(tmp_path: Path) -> None:
    row = {
        "input": [{"role": "system", "content": "s"}, {"role": "user", "content": "2+2?"}],
        "ideal": ["4", "four"],
    }
    suite = read_suite(put(tmp_path, "a.jsonl", json.dumps(row)))
    assert suite.cases[0].input == "2+2?"
    assert suite.cases[0].target == ["4", "four"]
    assert len(suite.cases[0].messages) == 2


PROMPTFOO = """
prompts: ["Say {{word}} in {{lang}}", "{{word}} -> {{lang}}:"]
providers: [openai:gpt-5.4]
defaultTest: {assert: [{type: not-contains, value: sorry}]}
tests:
  - vars: {word: cat, lang: [French, German]}
    assert: [{type: icontains, value: "{{lang}}"}]
  - vars: {word: dog, lang: French}
    assert: [{type: equals, value: chien}]
"""


def test_promptfoo_prompts_times_tests_times_vars(tmp_path: Path) -> None:
    suite = read_suite(put(tmp_path, "promptfooconfig.yaml", PROMPTFOO))
    assert suite.scorer == "assert"
    assert len(suite.cases) == 2 * (2 + 1)
    assert {c.messages[0]["content"] for c in suite.cases} >= {"Say cat in German", "dog -> French:"}
    assert len({c.cluster for c in suite.cases}) == 2
    assert [a["type"] for a in suite.cases[0].metadata["assert"]] == ["contains", "icontains"]
    assert suite.cases[0].metadata["assert"][1]["value"] == "French"


def test_promptfoo_tests_from_a_csv_with_expected_columns(tmp_path: Path) -> None:
    put(tmp_path, "tests.csv", "word,__expected1,__expected2\ncat,contains: chat,not-icontains: hund\n")
    put(tmp_path, "p.txt", "Translate {{word}}")
    config = put(tmp_path, "c.yaml", "prompts: [file://p.txt]\ntests: file://tests.csv\n")
    [case] = read_suite(config).cases
    assert case.messages[0]["content"] == "Translate cat"
    assert case.metadata["assert"] == [
        {"type": "contains", "value": "chat"}, {"type": "icontains", "value": "hund", "not": True},
    ]  # fmt: skip
    assert case.cluster is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompts: ['{% if x %}a{% endif %}']\ntests: [{vars: {x: 1}, assert: [a]}]", "Nunjucks"),
        ("prompts: ['{{x | upper}}']\ntests: [{vars: {x: a}, assert: [A]}]", "Nunjucks"),
        ("prompts: ['{{x}}']\ntests: [{vars: {x: a}, assert: [A], options: {transform: f}}]", "transform"),
        (
            "prompts: ['{{x}}']\ndefaultTest: {threshold: 1}\ntests: [{vars: {x: a}, assert: [A]}]",
            "threshold",
        ),
        ("prompts: ['{{x}}']\ntests: [{vars: {x: 'file://a.pdf'}, assert: [A]}]", "no text file"),
        ("prompts: ['{{x}}']\ntests: [{vars: {x: a}}]", "no assertion"),
        ("prompts: ['{{y}}']\ntests: [{vars: {x: a}, assert: [A]}]", "no column is called so"),
    ],
)
def test_what_a_promptfoo_file_asks_for_and_cannot_have_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    assert words in refused(put(tmp_path, "promptfooconfig.yaml", text))


def test_a_promptfoo_var_may_be_a_text_file(tmp_path: Path) -> None:
    put(tmp_path, "long.txt", "a long text\n")
    text = "prompts: ['Sum up: {{x}}']\ntests: [{vars: {x: 'file://long.txt'}, assert: ['contains: a']}]"
    [case] = read_suite(put(tmp_path, "c.yaml", text)).cases
    assert case.input == "Sum up: a long text"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "input,target\na,1\na,1\n", ("a.csv:2 and a.csv:3", "same example")),
        ("a.csv", "id,input,target\n7,a,1\n7,b,2\n", ("same id '7'", "a.csv:3")),
        ("a.csv", "input,target\na,1\nb,\nc, \n", ("2 of 3", "empty target", "a.csv:3", "a.csv:4")),
        ("a.csv", "input,target\n ,1\n", ("a.csv:2", "empty input")),
        ("a.csv", "input,taget\na,1\n", ("taget", "target=taget")),
        ("a.csv", "imput,target\na,1\n", ("imput", "input=imput")),
        ("a.csv", "input,target\na,1,2\n", ("a.csv:2", "as many fields")),
        ("a.csv", "input;target\na;1\n", ("input;target", "commas between")),
        ("a.csv", "input,input,target\na,b,1\n", ("'input' twice",)),
        ("a.csv", 'input,target\n"a,1\n', ("a.csv:2 is not CSV",)),
        ("a.csv", "input,target,cluster\na,1,x\nb,2,\n", ("1 of 2 Cases name no cluster", "a.csv:3")),
        ("a.csv", "input,target\n", ("no examples",)),
        ("a.csv", "\ninput,target\na,1\n", ("a.csv:1 is blank", "header line")),
        ("a.csv", " \ninput,target\na,1\n", ("a.csv:1 is blank", "header line")),
        ("a.jsonl", '{"input": "a", "target": "b"}\n{oops\n', ("a.jsonl:2", "not JSON")),
        ("a.jsonl", "[1]\n", ("a.jsonl:1", "not an object")),
        ("a.jsonl", '{"messages": [{"role": "boss", "content": "x"}], "target": "b"}', ("no chat message",)),
        ("a.json", '{"rows": []}', ("no list of cases",)),
        ("a.yaml", "a: [", ("not YAML",)),
        ("a.yaml", "scorrer: exact\ncases: [{input: a, target: b}]", ("scorrer", "scorer")),
        ("a.txt", "hello", ("no known kind",)),
        ("a.csv", "input,__expected\na,javascript: x > 1\n", ("javascript", "module:function")),
        ("a.csv", "input,__expected\na,regex: (a+\n", ("malformed",)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, name: str, text: str, words: tuple[str, ...]
) -> None:
    said = refused(put(tmp_path, name, text))
    for word in words:
        assert word in said


def test_a_missing_file_and_a_wrong_column_option(tmp_path: Path) -> None:
    assert "no file" in refused(tmp_path / "nothing.csv")
    path = put(tmp_path, "a.csv", "question,target\na,1\n")
    assert "Did you mean 'question'" in refused(path, columns={"input": "qestion"})
    assert "no 'inptu'" in refused(path, columns={"inptu": "question"})


def test_scorers_without_target_take_rows_without_one(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", '{"input": "a", "schema": {"type": "object"}}')
    assert "No column holds the target" in refused(path)
    assert read_suite(path, Shape(scorer="json_schema")).cases[0].metadata["schema"] == {"type": "object"}
    assert read_suite(path, Shape(scorer="mine:score")).scorer == "mine:score"


@pytest.mark.parametrize(
    ("module", "name", "extra"), [("yaml", "a.yaml", "yaml"), ("pyarrow", "a.parquet", "parquet")]
)
def test_a_format_whose_reader_is_not_installed_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, extra: str
) -> None:
    real = builtins.__import__

    def without(asked: str, *rest: Any, **more: Any) -> Any:
        if asked.partition(".")[0] == module:
            raise ImportError(asked)
        return real(asked, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert f"tierwise[{extra}]" in refused(put(tmp_path, name, "[]"))


def test_a_parquet_file_that_is_none_names_and_numbers_in_place_of_text(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    assert "cannot be read as Parquet" in refused(put(tmp_path, "a.parquet", "hello"))
    assert "no file" in refused(tmp_path / "none.parquet")
    rows = [{"id": 0, "input": "a", "target": "1"}, {"id": 1, "input": "b", "target": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    assert "b.parquet: row 2" in refused(tmp_path / "b.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:1]), tmp_path / "c.parquet")
    assert [case.id for case in read_suite(tmp_path / "c.parquet").cases] == ["0"]
