"""Where a file reaches into another library, read from its syntax tree.

What is not known to be hfcli's own counts as foreign: a name that was imported from elsewhere, a
parameter or variable without a class of hfcli as its annotation or constructor, anything deeper.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

# Names with an underscore that their libraries document.
DOCUMENTED = {
    "_asdict", "_replace", "_fields", "_make",  # collections.namedtuple
    "_exit",  # os
    "__future__",
}  # fmt: skip
# Methods with an underscore that a library documents as those to define in a subclass.
EXTENSION_POINTS = {"evaluate": {"_info", "_compute"}}
# Libraries whose classes are made to be declared in, private names included.
DECLARATIONS = {"pydantic", "pydantic_core"}
# Attributes that are documented as set by assignment, as `object.attribute`, or `object.*` where
# the object is nothing but settings.
SETTINGS = {
    "sys.stdout", "sys.stderr",
    "config.*", "generation_config.*", "model.generation_config",  # transformers: plain values
    "tokenizer.pad_token", "tokenizer.padding_side", "tokenizer.chat_template",
    "tokenizer.pre_tokenizer", "tokenizer.decoder",  # tokenizers
    "arguments.*",  # transformers.TrainingArguments
    "state.num_input_tokens_seen", "state.best_model_checkpoint",  # transformers.TrainerState
    "control.*",  # transformers.TrainerControl, the switches of callbacks
    "ctx.*", "parameter.grad",  # torch.autograd
    "e.param_hint", "made.default",  # typer.BadParameter, and what typer.Option makes
    "parameters.*", "batch.n_tokens",  # llama.cpp: structures of its C functions
    "element.text", "element.tag",  # xml.etree
}  # fmt: skip
TABLES = {"os.environ", "matplotlib.rcParams"}  # documented as written into
STATE_OF_IMPORTS = {"modules", "meta_path", "path_hooks", "path"}  # of sys
BY_NAME = {"getattr", "hasattr", "setattr", "delattr", "attrgetter", "methodcaller"}
MUTATORS = {
    "append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove",
    "setdefault", "update",
}  # fmt: skip


@dataclass(frozen=True)
class Class:
    """A class of hfcli.

    Args:
        bases: names as they stand in its file, resolved to `module.Name` where they are imported.
        private: names with an underscore that it defines, or sets on self.
        fields: the class that each annotated attribute is known to be of.
    """

    bases: tuple[str, ...] = ()
    private: frozenset[str] = frozenset()
    fields: dict[str, str] = field(default_factory=dict)


# A function of hfcli, as a class that its calls are of, stands among them, too.
Classes = dict[str, Class]  # by module.Name


@dataclass(frozen=True, order=True)
class Place:
    """A line that reaches into another library."""

    path: str
    line: int
    kind: str
    code: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.code}"


def is_private(name: str) -> bool:
    """Whether a name begins with one underscore and is not documented."""
    dunder = name.startswith("__") and name.endswith("__")
    return name.startswith("_") and not dunder and name not in DOCUMENTED


def is_own(dotted: str) -> bool:
    """Whether a dotted name is of hfcli."""
    return dotted.partition(".")[0] == "hfcli"


def is_library(dotted: str) -> bool:
    """Whether a dotted name is of another library, and not of Python's own."""
    root = dotted.partition(".")[0]
    return not is_own(dotted) and root not in sys.stdlib_module_names


class Names:
    """What the names of one file mean."""

    def __init__(self, tree: ast.Module, module: str) -> None:
        self.module = module
        self.imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self.imported[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    origin = f"{node.module or ''}.{alias.name}"
                    self.imported[alias.asname or alias.name] = origin
        self.defined = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }

    def resolve(self, node: ast.expr | None) -> str:
        """The dotted name that an expression stands for, or nothing."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body if node.value.isidentifier() else None
        if isinstance(node, ast.Name):
            if node.id in self.imported:
                return self.imported[node.id]
            return f"{self.module}.{node.id}" if node.id in self.defined else ""
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value)
            return f"{base}.{node.attr}" if base else ""
        if isinstance(node, ast.Subscript):  # list[X], dict[str, X]: what is taken out of it
            inner = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
            own = self.resolve(node.value)
            return own if is_own(own) else self.resolve(inner)
        if isinstance(node, ast.BinOp):  # X | None
            return self.resolve(node.left) or self.resolve(node.right)
        return ""


def classes_of(tree: ast.Module, module: str) -> Classes:
    """Every class of a file, those in functions too."""
    names = Names(tree, module)
    found: Classes = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = tuple(name for base in node.bases if (name := names.resolve(base)))
            known = list(_fields(node, names))
            fields = dict([*known, *(pair for pair in known if pair[1])])
            found[f"{module}.{node.name}"] = Class(bases, frozenset(_private(node)), fields)
        elif isinstance(node, ast.FunctionDef) and is_own(names.resolve(node.returns)):
            found[f"{module}.{node.name}()"] = Class((names.resolve(node.returns),))
    return found


def _private(node: ast.ClassDef) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child.name
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store) and _self(child):
            yield child.attr


def _fields(node: ast.ClassDef, names: Names) -> Iterator[tuple[str, str]]:
    parameters = {
        argument.arg: names.resolve(argument.annotation)
        for function in ast.walk(node)
        if isinstance(function, ast.FunctionDef) and function.name == "__init__"
        for argument in [*function.args.args, *function.args.kwonlyargs]
    }
    for child in ast.walk(node):
        if isinstance(child, ast.AnnAssign):
            if isinstance(child.target, ast.Name):
                yield child.target.id, names.resolve(child.annotation)
            elif _self(child.target):
                yield child.target.attr, names.resolve(child.annotation)
        elif isinstance(child, ast.Assign):
            target, value = child.targets[0], child.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            for one, other in pairs:
                if _self(one):
                    yield one.attr, _assigned(other, parameters, names)
        elif isinstance(child, ast.FunctionDef):  # a property, or what a call gives
            yield child.name, names.resolve(child.returns)


def _assigned(value: ast.expr, parameters: dict[str, str], names: Names) -> str:
    """The class of what `__init__` assigns: a parameter, an attribute of one, or a new object."""
    if isinstance(value, ast.Name):
        return parameters.get(value.id, "")
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
        of = parameters.get(value.value.id, "")
        return f"{of}#{value.attr}" if of else ""
    return names.resolve(value.func) if isinstance(value, ast.Call) else ""


def _self(node: ast.expr) -> TypeGuard[ast.Attribute]:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("self", "cls")
    )


class Reader(ast.NodeVisitor):
    """Finds the places of one file."""

    def __init__(self, tree: ast.Module, module: str, path: str, classes: Classes) -> None:
        self.names = Names(tree, module)
        self.path = path
        self.classes = classes
        self.places: list[Place] = []
        self.around: list[str] = []  # classes that the node stands in, outermost first
        self.known: list[dict[str, str]] = [{}]  # variable -> class, a dictionary a function
        own = (classes[name] for name in classes if name.rpartition(".")[0] == module)
        self.own_private = {name for each in own for name in each.private} | {
            node.id for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            and isinstance(node, ast.Name) and is_private(node.id)
        }  # fmt: skip

    def add(self, node: ast.AST, kind: str) -> None:
        code = " ".join(ast.unparse(node).split())
        self.places.append(Place(self.path, getattr(node, "lineno", 0), kind, code[:90]))

    # What names are of which class

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        name = f"{self.names.module}.{node.name}"
        if self.library_bases(name):
            documented = {
                name
                for library in self.libraries(name)
                for name in EXTENSION_POINTS.get(library, ())
            }
            for child in node.body:
                names = [child.name] if isinstance(child, ast.FunctionDef) else [
                    target.id for target in ast.walk(child)
                    if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
                ]  # fmt: skip
                if any(is_private(each) and each not in documented for each in names):
                    self.add(child, "a private name in a subclass of another library's class")
        self.around.append(name)
        self.generic_visit(node)
        self.around.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        scope = {a.arg: self.names.resolve(a.annotation) for a in arguments}
        self.known.append(scope)
        for child in ast.walk(node):
            self.learn(child, scope)
        self.generic_visit(node)
        self.known.pop()

    def learn(self, node: ast.AST, scope: dict[str, str]) -> None:
        """Take in what a statement says about the class of a variable."""
        if isinstance(node, ast.ExceptHandler) and node.name:
            scope[node.name] = self.names.resolve(node.type)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            scope[node.targets[0].id] = self.class_of(node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else []
            for target, value in zip(node.targets[0].elts, values, strict=False):
                if isinstance(target, ast.Name):
                    scope[target.id] = self.class_of(value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            scope[node.target.id] = self.names.resolve(node.annotation)
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            scope[node.target.id] = self.class_of(node.iter)
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            scope[node.optional_vars.id] = self.class_of(node.context_expr)

    def class_of(self, node: ast.expr) -> str:
        """The class that an object, or what it holds, is known to be of; or nothing."""
        if isinstance(node, ast.Name):
            if node.id in ("self", "cls") and self.around:
                return self.around[-1]
            for scope in reversed(self.known):
                if node.id in scope:
                    return scope[node.id]
            return self.names.resolve(node)
        if isinstance(node, ast.Attribute):
            return self.field(self.class_of(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            return self.class_of(node.value)
        if isinstance(node, ast.IfExp):
            return self.class_of(node.body) or self.class_of(node.orelse)
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute) and function.attr in ("pop", "get", "values"):
                return self.class_of(function.value)
            name = self.names.resolve(function)
            returned = self.classes.get(f"{name}()")
            if returned is not None:
                return returned.bases[0]
            return name if name in self.classes else self.class_of(function)
        return ""

    def field(self, name: str, attribute: str) -> str:
        known = self.classes.get(name)
        if known is None:
            return ""
        if attribute in known.fields:
            owner, _, of_owner = known.fields[attribute].partition("#")
            return self.field(owner, of_owner) if of_owner else owner
        return next((f for base in known.bases if (f := self.field(base, attribute))), "")

    def library_bases(self, name: str) -> bool:
        """Whether a class of hfcli inherits from another library."""
        return bool(self.libraries(name))

    def libraries(self, name: str) -> set[str]:
        """The other libraries whose classes a class of hfcli inherits from."""
        known = self.classes.get(name)
        if known is not None:
            return {each for base in known.bases for each in self.libraries(base)}
        root = name.partition(".")[0]
        return {root} if is_library(name) and root not in DECLARATIONS else set()

    def has_private(self, name: str, attribute: str) -> bool:
        known = self.classes.get(name)
        return known is not None and (
            attribute in known.private or any(self.has_private(b, attribute) for b in known.bases)
        )

    # What is looked for

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if not is_own(alias.name) and any(map(is_private, alias.name.split("."))):
                self.add(node, "an import of a private module")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or is_own(node.module or ""):
            return
        parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        if any(map(is_private, parts)):
            self.add(node, "an import of a private name")
        if node.module == "sys" and STATE_OF_IMPORTS & {alias.name for alias in node.names}:
            self.add(node, "the state of imports")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self.names.resolve(node) in {f"sys.{name}" for name in STATE_OF_IMPORTS}:
            self.add(node, "the state of imports")
        elif is_private(node.attr) and not self.is_own_private(node):
            self.add(node, "a private name")
        self.generic_visit(node)

    def is_own_private(self, node: ast.Attribute) -> bool:
        value = node.value
        is_super = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "super"
        if is_super or (isinstance(value, ast.Name) and value.id in ("self", "cls")):
            name = self.around[-1] if self.around else ""
            if not self.library_bases(name):
                return True
            bases = self.classes[name].bases if is_super else (name,)
            return any(self.has_private(base, node.attr) for base in bases)
        if is_own(self.names.resolve(value) or self.class_of(value)):
            return True
        root = value.id if isinstance(value, ast.Name) else ""
        return root not in self.names.imported and node.attr in self.own_private

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.target(target, node)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.target(node.target, node)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.target(node.target, node)
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self.target(target, node)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.target(node.target, node.target)
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                self.target(item.optional_vars, item.optional_vars)
        self.generic_visit(node)

    def target(self, target: ast.expr, node: ast.AST) -> None:
        """See whether something foreign is assigned to, or deleted."""
        if isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self.target(each, node)
        elif isinstance(target, ast.Starred):
            self.target(target.value, node)
        elif isinstance(target, ast.Attribute):
            if target.attr == "__class__":
                self.add(node, "an object that is given another class")
            elif not self.may_be_set(target.value, target.attr):
                self.add(node, "an attribute of another library's object that is assigned")
        elif isinstance(target, ast.Subscript):
            dotted = self.names.resolve(target.value)
            inside = isinstance(target.value, ast.Attribute) and target.value.attr in (
                "__dict__", "__globals__", "_modules",
            )  # fmt: skip
            if dotted in TABLES:
                return
            if inside or (dotted and not is_own(dotted)):
                self.add(node, "another library's object that is written into")

    def may_be_set(self, value: ast.expr, attribute: str) -> bool:
        """Whether an attribute may be assigned: of hfcli's own objects, and documented settings."""
        if isinstance(value, ast.Name) and value.id in ("self", "cls"):
            return True
        name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
        documented = {f"{name}.*", f"{name}.{attribute}"} & SETTINGS
        return is_own(self.class_of(value)) or bool(documented)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = name or getattr(node.func, "id", "")
        words = [a.value for a in node.args if isinstance(a, ast.Constant)]
        texts = [word for word in words if isinstance(word, str)]
        if name in BY_NAME and any(is_private(part) for text in texts for part in text.split(".")):
            if not self.is_own_by_name(node, texts[0]):
                self.add(node, "a private name")
        elif name in ("setattr", "delattr") and not self.may_be_set(
            node.args[0], *texts[:1] or [""]
        ):
            self.add(node, "an attribute of another library's object that is assigned")
        elif name in ("import_module", "__import__", "find_spec"):
            parts = [part for text in texts for part in text.split(".")]
            if any(map(is_private, parts)) and not is_own(texts[0]):
                self.add(node, "an import of a private module")
        elif name in MUTATORS and isinstance(node.func, ast.Attribute):
            dotted = self.names.resolve(node.func.value)
            if "." in dotted and not is_own(dotted) and dotted not in TABLES:
                self.add(node, "another library's object that is written into")
        self.generic_visit(node)

    def is_own_by_name(self, node: ast.Call, name: str) -> bool:
        if isinstance(node.func, ast.Attribute) or not node.args:
            return False
        attribute = ast.Attribute(node.args[0], name.partition(".")[0], ast.Load())
        return self.is_own_private(attribute)


def places(sources: dict[str, str]) -> list[Place]:
    """Every place of some files where they reach into another library.

    Args:
        sources: path with slashes -> source.
    """
    trees = {path: ast.parse(source) for path, source in sources.items()}
    modules = {path: _module(path) for path in sources}
    classes: Classes = {}
    for path, tree in trees.items():
        classes |= classes_of(tree, modules[path])
    for path, tree in trees.items():  # what a module imports can be imported from it
        for name, origin in Names(tree, modules[path]).imported.items():
            for call in ("", "()"):
                if origin + call in classes:
                    classes.setdefault(f"{modules[path]}.{name}{call}", classes[origin + call])
    found: list[Place] = []
    for path, tree in trees.items():
        reader = Reader(tree, modules[path], path, classes)
        reader.visit(tree)
        found += reader.places
    return sorted(set(found))


def read(folder: Path) -> dict[str, str]:
    """The sources of a package, by path from the folder that it stands in."""
    return {
        path.relative_to(folder.parent).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
