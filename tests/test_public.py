"""What a user can rely on from outside: names, docstrings, stubs; and what holds the house up: arrows, import cost."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pyconvx as cx

PACKAGE = Path(cx.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

RANKED = ("conv", "conv_transpose", "pool", "adaptive_pool", "unpool")
FUNCTIONS = {f"{name}{rank}d" for name in RANKED for rank in (1, 2, 3)} | {
    *("global_pool", "prepare", "pad", "activate", "vjp", "explain", "output_shape", "receptive_field"),
    *("activation", "padding", "pooling", "num_threads", "set_num_threads", "threads", "plugins"),
}
REGISTRIES = {"paddings", "activations", "poolings", "filters"}
TYPES = {
    *("ActivationFunction", "Bound", "Explanation", "PaddingMode", "PictureFilter", "Pooling", "PreparedFilters"),
    *("BrokenPluginError", "Listing", "ReceptiveField", "Registry", "UnknownNameError"),
}


LAYERS = {
    name for name in cx.nn.__all__ if isinstance(layer := getattr(cx.nn, name), type) and issubclass(layer, cx.Layer)
}


def test_layers_are_names_of_the_package():
    assert len(LAYERS) >= 35
    for name in LAYERS:
        assert getattr(cx, name) is getattr(cx.nn, name)
    assert {*cx.__all__, "nn", "plot", "testing"} <= set(dir(cx))
    with pytest.raises(AttributeError, match="no attribute 'Conv4D'"):
        cx.Conv4D  # noqa: B018


def test_public_names():
    assert set(cx.__all__) == FUNCTIONS | REGISTRIES | TYPES | LAYERS | {"OUTSIDE"}
    assert list(cx.__all__) == sorted(cx.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_public_function_is_documented_with_an_example(name):
    function = getattr(cx, name)
    assert callable(function)
    assert function.__name__ == name
    assert ">>>" in (inspect.getdoc(function) or ""), f"cx.{name} has no example"


@pytest.mark.parametrize("name", sorted(TYPES | LAYERS))
def test_public_type_is_documented(name):
    documented = getattr(cx, name)
    assert inspect.isclass(documented)
    assert documented.__doc__
    assert not documented.__doc__.startswith(f"{name}("), "that is what dataclass makes up"
    for member, function in vars(documented).items():
        if not member.startswith("_") and inspect.isfunction(function):
            assert inspect.getdoc(getattr(documented, member)), f"cx.{name}.{member} has no docstring"


@pytest.mark.parametrize("name", sorted(REGISTRIES))
def test_every_built_in_plugin_is_documented(name):
    for plugin in getattr(cx, name).values():
        if plugin.owner.startswith("pyconvx."):
            assert plugin.function.__doc__, f"{plugin.kind} {plugin.name!r} has no docstring"


# For each module or folder of the package, which others it may import; "" is the public face.
PLUGINS = {"registry", "plugin"}
OPERATIONS = PLUGINS | {"windows", "padding", "activation", "pooling", "picture", "geometry", "remember", "_core"}
ARROWS = {
    "_core": set(),
    "offers": set(),
    "plugin": {"remember"},
    "registry": {"plugin", "remember", "offers", "_core"},
    "compiled": {"_core"},
    "geometry": set(),
    "remember": set(),
    "padding": PLUGINS,
    "pooling": PLUGINS | {"compiled"},
    "picture": PLUGINS,
    "activation": PLUGINS | {"compiled", "_core"},
    "windows": PLUGINS | {"padding", "geometry", "remember", "_core"},
    "functional": OPERATIONS,
    "": OPERATIONS | {"functional", "offers", "nn", "plot", "listing"},
    "testing": OPERATIONS | {"compiled", "functional", "offers", "nn", ""},
    "plot": OPERATIONS | {"functional"},
    "nn": OPERATIONS | {"functional", "plot"},
    "demo": {"", "plot"},
    "listing": PLUGINS | {"padding", "activation", "pooling", "picture", "offers"},
    "commands": {"", "nn", "plot", "_core"},
    "cli": {"", "demo", "listing", "commands"},
    "__main__": {"cli"},
}


def imported(path: Path) -> set[str]:
    """Return the dotted names that a file of the package imports, relative ones made absolute."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ("pyconvx", *path.relative_to(PACKAGE).parent.parts)
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            assert all(alias.name != "*" for alias in node.names), f"{path}: import *"
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def part(dotted: str) -> str:
    """Return the module or folder of the package that a dotted name is in; "" for the package's own names."""
    first = dotted.split(".")[1] if "." in dotted else ""
    return first if (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file() else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    own = "" if first == "__init__" else first
    targets = {part(name) for name in imported(path) if name.split(".")[0] == "pyconvx"}
    assert targets - {own} <= ARROWS[own], f"{path} imports {targets - {own} - ARROWS[own]}"


def test_reference_shares_no_code_with_the_library():
    allowed = ("numpy", "pyconvx.testing.reference.", *sys.stdlib_module_names)
    for path in (PACKAGE / "testing" / "reference").rglob("*.py"):
        assert all(name.startswith(allowed) for name in imported(path)), path


def import_in_fresh_process(name: str) -> set[str]:
    code = f"import sys, {name}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return set(result.stdout.split())


def test_import_loads_little_besides_numpy():
    # Modules are counted because time varies; .ci/run measures the time.
    extra = import_in_fresh_process("pyconvx") - import_in_fresh_process("numpy")
    own = {name for name in extra if name.split(".")[0] == "pyconvx"}
    allowed = ("numpy.", "_cython_", "cython_runtime")
    others = {name for name in extra - own if not name.startswith(allowed)}
    assert {name.split(".")[0] for name in others} <= sys.stdlib_module_names, others
    assert len(others) <= 20, others
    assert not own & {"pyconvx.testing", "pyconvx.nn", "pyconvx.plot", "pyconvx.demo", "pyconvx.cli"}


STUBS = sorted(PACKAGE.rglob("*.pyi"))


def modules_of(stub: Path) -> list[ModuleType]:
    """Return the compiled modules that a stub describes; one kernel source makes a module per instruction set."""
    package = ".".join(("pyconvx", *stub.relative_to(PACKAGE).parent.parts))
    if stub.stem == "_kernels":
        return [importlib.import_module(f"{package}._kernels_{isa}") for isa in cx._core.supported()]
    return [importlib.import_module(f"{package}.{stub.stem}")]


def parameters(function: ast.FunctionDef) -> list[str]:
    """Return the parameters as written in a stub, with the marks / and * where they stand."""
    arguments = function.args
    names = [a.arg for a in arguments.posonlyargs] + (["/"] if arguments.posonlyargs else [])
    names += [a.arg for a in arguments.args]
    names += ["*"] if arguments.kwonlyargs and not arguments.vararg else []
    return names + [a.arg for a in arguments.kwonlyargs]


def real_parameters(function: object) -> list[str]:
    """Return the same of a real function."""
    text = str(inspect.signature(function))
    tree = ast.parse(f"def f{text}: ...").body[0] if "<" not in text else None
    if tree is not None:
        return parameters(tree)
    kinds = inspect.Parameter
    found = inspect.signature(function).parameters.values()
    names = [p.name for p in found if p.kind is kinds.POSITIONAL_ONLY]
    names += ["/"] if names else []
    names += [p.name for p in found if p.kind is kinds.POSITIONAL_OR_KEYWORD]
    keywords = [p.name for p in found if p.kind is kinds.KEYWORD_ONLY]
    return names + (["*", *keywords] if keywords else [])


def compare(where: str, body: list[ast.stmt], owner: object) -> set[str]:
    """Check that what a stub declares is there, with its signature; return the declared names."""
    declared = set()
    for node in body:
        if isinstance(node, ast.AnnAssign):
            declared.add(node.target.id)
            assert hasattr(owner, node.target.id), f"{where} has no {node.target.id}"
        elif isinstance(node, ast.ClassDef):
            declared.add(node.name)
            compare(f"{where}.{node.name}", node.body, getattr(owner, node.name))
        elif isinstance(node, ast.FunctionDef):
            declared.add(node.name)
            function = getattr(owner, node.name)
            if node.decorator_list or node.name == "__init__":
                continue  # a property; and Cython keeps no signature of a constructor
            assert real_parameters(function) == parameters(node), f"{where}.{node.name}"
    return declared


@pytest.mark.parametrize("stub", STUBS, ids=lambda stub: stub.stem)
def test_stub_tells_the_truth(stub):
    body = ast.parse(stub.read_text(encoding="utf-8")).body
    for module in modules_of(stub):
        declared = compare(module.__name__, body, module)
        own = {
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        }
        assert own <= declared, f"{module.__name__} has {own - declared}, which the stub does not tell"


def test_every_compiled_module_has_a_stub():
    compiled = {path.name.split(".")[0] for path in PACKAGE.rglob("*.so")}
    stubs = {stub.stem for stub in STUBS}
    assert {"_kernels" if name.startswith("_kernels_") else name for name in compiled} == stubs


def test_the_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_operations_tell_what_they_return():
    functions = [getattr(cx, name) for name in cx.__all__ if hasattr(getattr(cx, name), "plan")]
    assert len(functions) >= 18
    for function in functions:
        pools = function in (cx.pool1d, cx.pool2d, cx.pool3d)
        returns = "Array | tuple[Array, Array]" if pools else "Array"
        assert inspect.signature(function).return_annotation == function.__annotations__["return"] == returns


X = np.ones((1, 4, 4, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cx.conv2d(X), r"^conv2d\(\): missing a required argument: 'filters'"),
        (lambda: cx.conv1d(X, X, X, X), r"^conv1d\(\): too many positional arguments"),
        (lambda: cx.conv2d(X, X, strides=2), r"^conv2d\(\): got an unexpected keyword argument 'strides'"),
        (lambda: cx.vjp(cx.conv_transpose2d, X), r"^conv_transpose2d\(\): missing a required argument: 'filters'"),
        (lambda: cx.output_shape(cx.conv2d, X.shape), r"^conv2d\(\): missing a required argument: 'filters'"),
        (lambda: cx.pool2d(X), r"^pool2d\(\): missing a required argument: 'size'"),
        (lambda: cx.unpool2d(X, X), r"^unpool2d\(\): missing a required argument: 'output_shape'"),
        (lambda: cx.pool2d(X, 2, "avg", power=2), "pooling 'avg' has no parameter 'power'"),
        (lambda: cx.activate(X), r"^activate\(\) missing"),
        (lambda: cx.Conv2D(3), r"^Conv2D.__init__\(\) missing 1 required positional argument: 'kernel_size'"),
        (lambda: cx.MaxPool1D(2, "avg"), r"^MaxPool1D.__init__\(\) takes 2 positional arguments"),
        (lambda: cx.conv2d("a", X), "^x must be"),
    ],
)
def test_a_wrong_call_is_told_of_what_was_called(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "form"),
    [
        (lambda: cx.output_shape(cx.conv2d, X, X), r"\(1, 4, 4, 2\) and dtype float64"),
        (lambda: cx.Sequential(cx.Conv2D(3, 2)).build(X), r"\(1, 4, 4, 2\) and dtype float64"),
        (lambda: cx.Dense(3).summary(X), r"\(1, 4, 4, 2\) and dtype float64"),
        (lambda: cx.plot.network(cx.Conv2D(3, 2), X), r"\(1, 4, 4, 2\) and dtype float64"),
    ],
)
def test_an_array_in_place_of_a_shape_is_told_by_its_form(call, form):
    with pytest.raises(TypeError, match=rf"got an array of shape {form}$"):
        call()
