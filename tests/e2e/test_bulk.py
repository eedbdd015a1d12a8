"""`hfcli generate --input --output`: nothing is lost, nothing is done twice, nothing differs."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SENTENCES
from tests.fake_hub import fake_hub, hub_env
from tests.helpers import ROOT, hfcli

ROWS = 60
FLAGS = ["--max-new-tokens", "16", "--batch-size", "4"]
KINDS = {"greedy": ["--greedy"], "sampled": ["--temperature", "1.0", "--seed", "5", "-n", "2"]}


def prompts(n: int = ROWS) -> list[dict[str, Any]]:
    words = " ".join(SENTENCES).split()
    choose = random.Random(0)
    return [
        {"id": f"row-{i}", "prompt": " ".join(choose.choices(words, k=1 + i % 7)), "kind": i % 3}
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = [json.dumps(row) for row in prompts()]
    lines[7] = '{"id": "row-7", "prompt": ""}'
    lines[9] = "{broken"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def bulk(model: Path, source: str | Path, output: str | Path, *flags: Any, **options: Any) -> Any:
    return hfcli(
        "generate", "--model", model, "-i", source, "-o", output, *FLAGS, *flags, **options
    )


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_gets_its_texts_in_order_and_failed_rows_say_why(
    tiny_gpt2: Path, rows_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    done = bulk(tiny_gpt2, rows_file, output, "-n", "2", "--keep-columns", "--json")
    assert done.returncode == 6, done.stderr
    found = records(output)
    assert [(r["id"], r["sample"]) for r in found] == [
        (f"row-{i}" if i != 9 else 9, s) for i in range(ROWS) for s in range(2)
    ]
    assert set(found[0]) == {
        "id", "sample", "prompt", "text", "finish_reason", "n_prompt_tokens", "n_new_tokens",
        "seed", "error", "kind",
    }  # fmt: skip
    failed = [r for r in found if r["finish_reason"] == "error"]
    assert [r["error"].split(":")[-1].strip()[:8] for r in failed[::2]] == ["the prom", "not JSON"]
    assert all(r["text"] is not None for r in found if r not in failed)
    result = json.loads(done.stdout)
    assert (result["rows"], result["texts"], result["errors"]) == (ROWS, 2 * ROWS, 4)


@pytest.mark.parametrize("flags", KINDS.values(), ids=KINDS.keys())
def test_killed_and_resumed_is_uninterrupted(
    tiny_gpt2: Path, rows_file: Path, tmp_path: Path, flags: list[str]
) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    assert bulk(tiny_gpt2, rows_file, whole, *flags).returncode == 6
    partial = tmp_path / "broken.jsonl.partial"
    arguments = ["-i", str(rows_file), "-o", str(broken), *FLAGS, *flags]
    # A slow journal, so that there is a middle to be killed in.
    code = (
        "import sys, time\n"
        "from hfcli.generation.journal import Journal\n"
        "add = Journal.add\n"
        "Journal.add = lambda self, entry: (add(self, entry), time.sleep(0.1))\n"
        f"sys.argv = ['hfcli', 'generate', '--model', {str(tiny_gpt2)!r}, *{arguments!r}]\n"
        "from hfcli.cli.app import main\n"
        "main()\n"
    )
    finished_before = []
    for share, signal_ in ((0.25, signal.SIGKILL), (0.6, signal.SIGINT)):
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        wait_for_lines(partial, int(share * len(records(whole))))
        process.send_signal(signal_)
        _, told = process.communicate()
        assert not broken.exists()
        finished_before.append(keys(partial))
    assert process.returncode == 130
    assert "the same command goes on" in told
    with partial.open("ab") as file:
        file.write(b'{"row": 3, "sample": 0, "of"')  # a line cut off by a power failure
    done = bulk(tiny_gpt2, rows_file, broken, *flags, "--json")
    assert done.returncode == 6, done.stderr
    assert broken.read_bytes() == whole.read_bytes()
    assert finished_before[1][: len(finished_before[0])] == finished_before[0], "nothing twice"
    result = json.loads(done.stdout)
    assert 0 < result["resumed"] < result["texts"]
    assert not partial.exists()


def wait_for_lines(path: Path, n: int) -> None:
    for _ in range(3000):
        if path.exists() and path.read_bytes().count(b"\n") > n:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} never had {n} lines")


def keys(path: Path) -> list[tuple[int, int]]:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()[1:]]
    found = [(line["row"], line["sample"]) for line in lines]
    assert len(set(found)) == len(found)
    return found


def test_one_row_alone_is_that_row_in_any_batch_and_order(tiny_gpt2: Path, tmp_path: Path) -> None:
    rows = prompts(12)
    flags = ["--temperature", "1.0", "--logprobs", "2"]
    outputs: dict[str, dict[Any, Any]] = {}
    for name, chosen, size in (
        ("all", rows, "12"), ("backwards", rows[::-1], "5"), ("alone", rows[4:5], "1"),
    ):  # fmt: skip
        source = tmp_path / f"{name}.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
        output = tmp_path / f"{name}-out.jsonl"
        done = bulk(tiny_gpt2, source, output, *flags, "--batch-size", size)
        assert done.returncode == 0, done.stderr
        outputs[name] = {record["id"]: record for record in records(output)}
    assert outputs["backwards"] == outputs["all"]
    assert outputs["alone"]["row-4"] == outputs["all"]["row-4"]
    assert len({r["text"] for r in outputs["all"].values()}) > 6


def test_the_seed_of_a_record_writes_its_text_again(tiny_gpt2: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("Bread was sold\nThe lamp\n", encoding="utf-8")
    flags = ["--temperature", "1.0"]
    assert bulk(tiny_gpt2, source, output, *flags).returncode == 0
    for record in records(output):
        done = hfcli(
            "generate", record["prompt"], "--model", tiny_gpt2, "--max-new-tokens", "16",
            *flags, "--seed", str(record["seed"]), "--json",
        )  # fmt: skip
        assert json.loads(done.stdout)["text"] == record["text"]


def test_other_settings_are_refused_and_say_what_changed(tiny_gpt2: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("Bread\nThe lamp\n", encoding="utf-8")
    assert bulk(tiny_gpt2, source, output).returncode == 0
    before = output.read_bytes()
    again = bulk(tiny_gpt2, source, output)
    assert again.returncode == 0
    assert "nothing was left to do" in again.stderr
    for flags, told in (
        (["--temperature", "0.3"], "settings.temperature: 0.7 -> 0.3"),
        (["--seed", "9"], "seed: 0 -> 9"),
        (["--stop", "x"], "options.stops"),
    ):
        refused = bulk(tiny_gpt2, source, output, *flags)
        assert refused.returncode == 5
        assert told in refused.stderr
    source.write_text("Bread\nThe lamp was\n", encoding="utf-8")
    refused = bulk(tiny_gpt2, source, output)
    assert refused.returncode == 5
    assert "input_sha256" in refused.stderr
    assert bulk("bundled", source, output).returncode == 5  # type: ignore[arg-type]
    assert output.read_bytes() == before
    assert bulk(tiny_gpt2, source, output, "--overwrite").returncode == 0
    output.with_name("out.jsonl.run.json").unlink()
    foreign = bulk(tiny_gpt2, source, output)
    assert foreign.returncode == 5
    assert "not written by this command" in foreign.stderr


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt"])
def test_every_input_format_gives_the_same_texts(
    tiny_gpt2: Path, tmp_path: Path, suffix: str
) -> None:
    texts = [row["prompt"] for row in prompts(5)]
    source = tmp_path / f"in{suffix}"
    match suffix:
        case ".jsonl":
            source.write_text("".join(json.dumps({"prompt": t}) + "\n" for t in texts))
        case ".json":
            source.write_text(json.dumps([{"prompt": t} for t in texts], indent=1))
        case ".csv" | ".tsv":
            with source.open("w", newline="") as file:
                writer = csv.writer(file, delimiter="," if suffix == ".csv" else "\t")
                writer.writerows([["prompt"], *([t] for t in texts)])
        case ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table({"prompt": texts}), source)
        case ".txt":
            source.write_text("\n".join(texts))
    done = bulk(tiny_gpt2, source, "-")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["prompt"] for r in found] == texts
    piped = bulk(tiny_gpt2, "-", "-", "--input-format", "txt", stdin="\n".join(texts))
    assert piped.stdout == done.stdout


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_output_format_holds_the_same_records(
    tiny_gpt2: Path, rows_file: Path, tmp_path: Path, suffix: str
) -> None:
    plain, other = tmp_path / "out.jsonl", tmp_path / f"out{suffix}"
    for output in (plain, other):
        assert bulk(tiny_gpt2, rows_file, output, "--keep-columns").returncode == 6
    expected = records(plain)
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(other).to_pylist()
        assert [r["text"] for r in table] == [r["text"] for r in expected]
        assert [r["kind"] for r in table] == [r.get("kind") for r in expected]
    else:
        with other.open(newline="", encoding="utf-8") as file:
            cells = list(csv.DictReader(file))
        assert [r["text"] for r in cells] == [r["text"] or "" for r in expected]
        assert [r["n_new_tokens"] for r in cells] == [str(r["n_new_tokens"]) for r in expected]


def test_openai_batch_lines_are_answered_in_kind(tiny_gpt2: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "batch.jsonl", tmp_path / "answers.jsonl"
    bodies: list[dict[str, Any]] = [
        {"prompt": "Bread was", "max_tokens": 5, "n": 2, "temperature": 1},
        {"prompt": "The lamp", "max_tokens": 3, "temperature": 0, "model": "any"},
        {"prompt": "The lamp", "tools": []},
        {"messages": [{"role": "user", "content": "The lamp"}]},
    ]
    lines = [
        {"custom_id": f"c{i}", "method": "POST", "url": "/v1/completions", "body": body}
        for i, body in enumerate(bodies)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = bulk(tiny_gpt2, source, output)
    assert done.returncode == 6, done.stderr
    answers = records(output)
    assert [a["custom_id"] for a in answers] == ["c0", "c1", "c2", "c3"]
    first = answers[0]["response"]["body"]
    assert [c["index"] for c in first["choices"]] == [0, 1]
    assert first["usage"]["completion_tokens"] <= 10
    assert first["choices"][0]["finish_reason"] in ("stop", "length")
    assert "tools" in answers[2]["error"]["message"]
    assert "chat template" in answers[3]["error"]["message"]


def test_a_template_names_columns_and_a_wrong_one_is_told(tiny_gpt2: Path, tmp_path: Path) -> None:
    source, template = tmp_path / "in.csv", tmp_path / "t.txt"
    source.write_text("who,what\nkeeper,lamp\nbaker,bread\n", encoding="utf-8")
    template.write_text("{who} {{and}} {what}\n", encoding="utf-8")
    done = bulk(tiny_gpt2, source, "-", "--template", template)
    assert [json.loads(line)["prompt"] for line in done.stdout.splitlines()] == [
        "keeper {and} lamp", "baker {and} bread",
    ]  # fmt: skip
    template.write_text("{who} {wat}\n", encoding="utf-8")
    wrong = bulk(tiny_gpt2, source, "-", "--template", template)
    assert wrong.returncode == 3
    assert "did you mean what?" in wrong.stderr
    unclear = bulk(tiny_gpt2, source, "-")
    assert unclear.returncode == 3
    assert "--prompt-column" in unclear.stderr


def test_other_text_on_stdin_is_another_input(tiny_gpt2: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    for stdin, code in (("Bread\n", 0), ("Bread\n", 0), ("Bread\nlamp\n", 5)):
        done = bulk(tiny_gpt2, "-", output, "--input-format", "txt", stdin=stdin)
        assert done.returncode == code, done.stderr
    assert "input_sha256" in done.stderr
    assert len(records(output)) == 1


def test_a_data_set_of_the_hub_is_read_and_resumed(tiny_gpt2: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "set", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts(4)))
    with fake_hub({"datasets/some/prompts": folder}) as hub:
        env = hub_env(hub, tmp_path / "home")
        done = bulk(tiny_gpt2, "some/prompts", output, "--keep-columns", env=env)
        assert done.returncode == 0, done.stderr
        wrong = bulk(tiny_gpt2, "some/prompts", "-", "--split", "tset", env=env)
        assert wrong.returncode == 3
        assert "tset" in wrong.stderr
    found = records(output)
    assert [(r["id"], r["prompt"], r["kind"]) for r in found] == [
        (row["id"], row["prompt"], row["kind"]) for row in prompts(4)
    ]
    offline = {**env, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    again = bulk(tiny_gpt2, "some/prompts", output, "--keep-columns", env=offline)
    assert "nothing was left to do" in again.stderr, again.stderr


def test_two_runs_do_not_write_one_file(tiny_gpt2: Path, tmp_path: Path) -> None:
    from hfcli.generation.journal import hold

    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("Bread\n", encoding="utf-8")
    (tmp_path / "link.jsonl").symlink_to(output)
    with hold(output):
        for name in (output, tmp_path / "link.jsonl"):
            done = bulk(tiny_gpt2, source, name)
            assert done.returncode == 5
            assert "another process is writing it" in done.stderr


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    from hfcli.data.prompts import open_rows

    code = (
        "import resource, sys\n"
        "from hfcli.data.prompts import open_rows\n"
        "n = sum(row.error is None for row in open_rows(sys.argv[1]).read())\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = []
    for suffix in (".jsonl", ".json", ".csv"):
        for n in (1_000, 200_000):
            path = tmp_path / f"{n}{suffix}"
            write_many(path, n)
            done = subprocess.run(
                [sys.executable, "-c", code, str(path)], capture_output=True, text=True,
                check=True, cwd=ROOT, env={**os.environ},
            )  # fmt: skip
            rows, peak = map(int, done.stdout.split())
            assert rows == n
            peaks.append(peak)
        assert peaks[-1] < peaks[-2] + 16_000, f"{suffix}: kilobytes"
    assert open_rows(str(tmp_path / "1000.jsonl")).total == 1_000


def write_many(path: Path, n: int) -> None:
    rows = (json.dumps({"prompt": f"number {i} of many, {'x' * 60}"}) for i in range(n))
    with path.open("w", encoding="utf-8") as file:
        match path.suffix:
            case ".jsonl":
                file.writelines(f"{row}\n" for row in rows)
            case ".json":
                file.write("[" + next(rows))
                file.writelines(f",\n{row}" for row in rows)
                file.write("]")
            case _:
                file.write("prompt,other\n")
                file.writelines(f'"number {i}, of many",{"x" * 60}\n' for i in range(n))
