"""The shipped recipes can be listed, shown and copied, and a copy runs where it is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from hfcli.errors import RecipeError, RunError
from hfcli.recipe import catalog
from hfcli.recipe.catalog import (
    MODELINE,
    copy_recipe,
    editor_line,
    has_schema,
    read_shipped,
    shipped_folder,
    shipped_recipes,
    with_editor_line,
    write_new,
)
from hfcli.recipe.load import load_recipe
from tests.helpers import RECIPES, ROOT, hfcli, slowness
from tests.unit.test_imports import HEAVY, run_and_list_modules, seconds

SHIPPED = sorted(RECIPES.glob("*.yaml"))
CLASSIFY = "bundled-text-classification"


def names() -> list[str]:
    return [path.stem for path in SHIPPED]


def test_every_recipe_is_listed_and_described() -> None:
    assert len(names()) >= 5
    listed = {recipe.name: recipe for recipe in shipped_recipes()}
    assert list(listed) == names()
    for path in SHIPPED:
        recipe, loaded = listed[path.stem], load_recipe(path)
        assert recipe.task == loaded.task.name
        assert loaded.model.name_or_path in (None, recipe.model)
        assert recipe.data
        assert f"# {recipe.about}" in path.read_text(encoding="utf-8").splitlines()
        assert f"`{path.name}`" in (RECIPES / "README.md").read_text(encoding="utf-8")


def test_table_and_json_show_the_same_recipes() -> None:
    rows = json.loads(hfcli("recipes", "list", "--json").stdout)
    table = hfcli("recipes", "list").stdout
    assert [row["name"] for row in rows] == names()
    for row in rows:
        assert all(row[column] in table for column in ("name", "task", "model", "data", "about"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_recipe_is_shown_byte_for_byte(path: Path) -> None:
    assert read_shipped(path.stem) == read_shipped(path.name) == path.read_text(encoding="utf-8")


def test_show_writes_the_file_and_nothing_else_to_stdout() -> None:
    done = hfcli("recipes", "show", CLASSIFY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (RECIPES / f"{CLASSIFY}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["bundled-text-clasification", "nothing-like-it"])
@pytest.mark.parametrize("command", ["show", "copy"])
def test_an_unknown_name_is_an_error_that_knows_better(command: str, name: str) -> None:
    done = hfcli("recipes", command, name)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no shipped recipe is called {name!r}" in done.stderr
    assert CLASSIFY in done.stderr


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_copy_is_the_recipe_in_another_place(path: Path, tmp_path: Path) -> None:
    copy = copy_recipe(path.stem, tmp_path / "mine")
    assert copy.recipe == tmp_path / "mine" / path.name
    old, new = load_recipe(path), load_recipe(copy.recipe)
    assert new.output_dir == tmp_path / "mine" / "runs" / path.stem
    same = {"task", "model", "training", "generation", "evaluation", "seed", "device"}
    assert all(getattr(old, key) == getattr(new, key) for key in same)
    for before, after in zip(old.data.train, new.data.train, strict=True):
        if before.startswith(str(RECIPES)) and old.data.path is None:
            assert Path(after).parent.parent == tmp_path / "mine"
            assert Path(after).read_bytes() == Path(before).read_bytes()
        else:
            assert old.data.path or copy.absent
    changed = [
        (a, b)
        for a, b in zip(read_shipped(path.stem).splitlines(), copy.text.splitlines(), strict=True)
        if a != b
    ]
    assert [a.partition(":")[0] for a, _ in changed] == ["# yaml-language-server", "output_dir"]


def test_a_copy_goes_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert copy_recipe(CLASSIFY).recipe == Path(f"{CLASSIFY}.yaml")
    file = copy_recipe(CLASSIFY, Path("a/mine.yml")).recipe
    assert file == Path("a/mine.yml")
    assert load_recipe(file).output_dir == tmp_path / "a" / "runs" / "mine"
    assert (tmp_path / "a" / "data" / "library_messages.csv").is_file()


def test_a_copy_never_replaces_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = tmp_path / "data" / "library_messages.csv"
    data.write_text("years of work")
    with pytest.raises(RecipeError, match="already exists") as caught:
        copy_recipe(CLASSIFY, tmp_path)
    assert "--overwrite" in str(caught.value.hint)
    assert data.read_text() == "years of work"
    assert list(tmp_path.rglob("*.yaml")) == []
    copy_recipe(CLASSIFY, tmp_path, overwrite=True)
    assert data.read_bytes() == (RECIPES / "data" / data.name).read_bytes()
    assert copy_recipe(CLASSIFY, tmp_path).written == []  # the same once more harms nobody


def test_overwrite_never_reaches_a_file_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("years of work")
    (tmp_path / "a.yaml").symlink_to(tmp_path / "thesis")
    with pytest.raises(RecipeError, match="is a link"):
        write_new({tmp_path / "a.yaml": b"x"}, overwrite=True)
    assert (tmp_path / "thesis").read_text() == "years of work"


def test_a_file_that_cannot_be_written_is_a_known_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_new({tmp_path / "file" / "a.yaml": b"x"}, overwrite=False)


def test_an_install_from_a_wheel_has_the_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    places = build["build"]["targets"]["wheel"]["force-include"]
    assert places["recipes"] == catalog.FOLDERS[0].relative_to(ROOT).as_posix()
    assert shipped_folder() == RECIPES
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(catalog, "FOLDERS", (tmp_path / "shipped", RECIPES))
    assert shipped_folder() == tmp_path / "shipped"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_names_a_schema_that_is_there(path: Path) -> None:
    assert has_schema(path.read_text(encoding="utf-8"), path.parent)
    assert path.read_text(encoding="utf-8").startswith(editor_line(path.parent))


def test_the_editor_line_leads_to_the_nearest_schema(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    text = with_editor_line(f"{MODELINE}elsewhere.json\nseed: 1\n", folder)
    assert text == f"{MODELINE}recipe.schema.json\nseed: 1\n"
    assert not has_schema(text, folder)
    (folder / "recipe.schema.json").touch()
    assert has_schema(text, folder)
    (folder / "recipe.schema.json").rename(tmp_path / "recipe.schema.json")
    text = with_editor_line(text, folder)
    assert text == f"{MODELINE}../../recipe.schema.json\nseed: 1\n"
    assert has_schema(text, folder)


def test_copy_imports_nothing_heavy(tmp_path: Path) -> None:
    assert run_and_list_modules(["recipes", "copy", CLASSIFY, str(tmp_path)]) & HEAVY == set()
    assert (tmp_path / f"{CLASSIFY}.yaml").is_file()


@pytest.mark.alone
def test_copy_answers_in_under_a_third_of_a_second(tmp_path: Path) -> None:
    arguments = ["-m", "hfcli", "recipes", "copy", CLASSIFY]
    assert min(seconds([*arguments, str(tmp_path / str(i))]) for i in range(7)) < 0.3 * slowness()
