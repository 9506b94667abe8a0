"""Plugins that installed packages offer: lazy, each by itself, and named with the package they are from."""

import subprocess
import sys
import textwrap

import pytest

PLUGINS = '''
    """Some plugins."""
    import numpy as np, pyconvx as cx

    print("imported")

    @cx.activations.register("acme:cube", aliases=("acme:third_power",), derivative=lambda x, y: 3 * x * x)
    def cube(x):
        """The third power."""
        return x * x * x

    def last(i, n):
        """Not decorated: registered as it is."""
        return np.clip(i, 0, n - 1)
'''
OFFERED = {"activations": {"acme:cube": "acme.plugins:cube"}, "paddings": {"acme:last": "acme.plugins:last"}}


def install(folder, name, version, offers, **modules):
    """What installing a distribution leaves behind: its modules in one package, and its metadata."""
    package = folder / name.lower()
    package.mkdir()
    (package / "__init__.py").write_text("")
    for module, text in modules.items():
        (package / f"{module}.py").write_text(textwrap.dedent(text))
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{name.lower()}/__init__.py,,\n")
    groups = [
        f"[pyconvx.{group}]\n" + "".join(f"{key} = {value}\n" for key, value in each.items())
        for group, each in offers.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))


BEGIN = """
import sys; sys.path.insert(0, {folder!r})
import numpy as np, pyconvx as cx
from pyconvx.offers import Offers

def installed(self, found=Offers._all):  # and not what else this machine has
    here = lambda offer: str(offer.dist.locate_file("")) == {folder!r}
    return {{name: own for name, offers in found(self).items() if (own := tuple(filter(here, offers)))}}

Offers._all = installed

def tell(kind, call):  # print the error of that kind that it raises
    try:
        call()
    except kind as error:
        print(error)
    else:
        print("nothing was raised")
"""


def run(folder, code):
    """What a program prints that finds those distributions, and no others; it must not fail."""
    program = BEGIN.format(folder=str(folder)) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def acme(tmp_path):
    install(tmp_path, "Acme", "1.2", OFFERED, plugins=PLUGINS)
    return tmp_path


def test_a_plugin_is_loaded_when_it_is_asked_for(acme):
    told = run(
        acme,
        """
        cx.conv2d(np.ones((5, 5, 1)), np.ones((1, 3, 3, 1)), padding="same", activation="relu")
        print("acme:cube" in cx.activations, "acme:cube" in cx.activations.names(), len(cx.paddings))
        print(cx.activate([2.0], "acme:cube"), cx.activations["acme:cube"].owner)
        y, pullback = cx.vjp(cx.activate, np.array([2.0]), "acme:third_power")
        print(pullback(np.ones(1)), cx.pad([1, 2], (0, 2), "acme:last"), cx.paddings["acme:last"].owner)
        """,
    )
    assert told == [
        "True True 10",
        "imported",
        "[8.] acme.plugins of Acme 1.2",
        "(array([12.]),) [1 2 2 2] acme.plugins of Acme 1.2",
    ]


def test_an_alias_that_no_package_names_is_found(acme):
    assert run(acme, 'print(cx.activations["acme:third_power"].name, "acme:third_power" in cx.activations)') == [
        "imported",
        "acme:cube True",
    ]


def test_what_is_not_there_is_told_with_what_is_offered(acme):
    told = run(acme, 'tell(cx.UnknownNameError, lambda: cx.activations["acme:cub"])')
    assert told[-1].startswith("unknown activation 'acme:cub'; did you mean 'acme:cube'? registered are: acme:cube, ")


def test_a_name_that_was_unregistered_is_not_offered_again(acme):
    told = run(
        acme,
        """
        import acme.plugins
        cx.activations.unregister("acme:cube")
        print("acme:cube" in cx.activations, "acme:cube" in cx.activations.names())
        """,
    )
    assert told == ["imported", "False False"]


BROKEN = {
    "an import": ("import acme_has_no_such_module", "ModuleNotFoundError: No module named 'acme_has_no_such_module'"),
    "a registration": (
        "import pyconvx as cx\ncx.paddings.register('reflect', lambda i, n: i)",
        "ValueError: padding mode 'reflect' is already registered by pyconvx.padding, as 'reflect'; "
        "replace=True replaces it",
    ),
    "no such function": ("", "AttributeError: module 'broken.bad' has no attribute 'bad'"),
    "the end of the program": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "no function": ("bad = 7", "TypeError: function of padding mode 'bad' must be callable, got 7"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_plugin_breaks_its_own_name_only(acme, what):
    text, reason = BROKEN[what]
    install(acme, "Broken", "0.3", {"paddings": {"bad": "broken.bad:bad"}}, bad=text)
    told = run(
        acme,
        """
        print(cx.pad([1, 2], (0, 1), "acme:last"), "bad" in cx.paddings)
        for _ in range(2):
            tell(cx.BrokenPluginError, lambda: cx.pad([1, 2], 1, "bad"))
        tell(cx.UnknownNameError, lambda: cx.pad([1, 2], 1, "no_such_mode"))
        """,
    )
    assert told[:2] == ["imported", "[1 2 2] True"]
    want = f"padding mode 'bad', offered by Broken 0.3 as 'broken.bad:bad', cannot be loaded: {reason}"
    assert told[2:4] == [want, want]
    assert told[4].startswith("unknown padding mode 'no_such_mode'")


def test_a_broken_plugin_does_not_stop_a_check_of_all(acme):
    install(acme, "Broken", "0.3", {"paddings": {"bad": "broken.bad:bad"}}, bad="import acme_has_no_such_module")
    told = run(
        acme,
        """
        import pyconvx.testing.check as check
        check._run = lambda checks: None
        try:
            cx.testing.check_all(examples=1)
        except cx.testing.LawBroken as error:
            print(error.laws, "acme_has_no_such_module" in str(error))
        """,
    )
    assert told[-1] == "('padding mode bad: cannot be loaded',) True"


@pytest.mark.parametrize(("name", "why"), [("bad", "cannot be loaded: Module"), ("acme:last", "is offered by ")])
def test_pytest_says_why_a_plugin_has_no_laws(acme, name, why):
    offers = {"paddings": {"bad": "broken.bad:bad", "acme:last": "broken.bad:bad"}}
    install(acme, "Broken", "0.3", offers, bad="import acme_has_no_such_module")
    told = run(
        acme,
        f"""
        import pytest
        sys.stderr = sys.stdout
        options = "-p", "no:pyconvx", "-p", "pytest_pyconvx", "-p", "no:cacheprovider", "--pyconvx-plugin", {name!r}
        print(pytest.main([{str(acme)!r}, "--rootdir", {str(acme)!r}, *options]) == pytest.ExitCode.USAGE_ERROR)
        """,
    )
    begin = f"ERROR: --pyconvx-plugin {name}: padding mode {name!r}"
    assert any(line.startswith(begin) and why in line for line in told)
    assert told[-1] == "True"


def test_a_broken_plugin_does_not_stop_strategies(acme):
    install(acme, "Broken", "0.3", {"paddings": {"bad": "broken.bad:bad"}}, bad="import acme_has_no_such_module")
    told = run(
        acme,
        """
        from hypothesis import given, settings
        for strategy in (cx.testing.paddings(), cx.testing.conv_cases(), cx.testing.layers(kinds=("Pad",))):
            settings(max_examples=25, database=None, deadline=None)(given(strategy)(lambda case: None))()
        print("drawn")
        """,
    )
    assert told[-1] == "drawn"


def test_a_plugin_belongs_to_the_package_that_has_it_whoever_imports_that(acme):
    install(
        acme,
        "Other",
        "2.0",
        {"paddings": {"other": "other.plugins:other"}},
        plugins="""
        import acme.plugins, pyconvx as cx
        @cx.paddings.register("other")
        def other(i, n):
            return i.clip(0, n - 1)
    """,
    )
    told = run(acme, 'print(cx.paddings["other"].owner, cx.activations["acme:cube"].owner, sep="\\n")')
    assert told[1:] == ["other.plugins of Other 2.0", "acme.plugins"]


def test_many_threads_may_ask_for_a_plugin_first(acme):
    told = run(
        acme,
        """
        from threading import Barrier, Thread
        sys.setswitchinterval(1e-6)
        found, wrong = set(), []
        for _ in range(200):
            if "acme:last" in cx.paddings._entries[0]:
                cx.paddings.unregister("acme:last")
                cx.paddings._offers._taken = frozenset()
            start = Barrier(6)
            def ask():
                start.wait()
                try:
                    found.add(cx.paddings["acme:last"].name)
                except Exception as error:
                    wrong.append(error)
            threads = [Thread(target=ask) for _ in range(6)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        print(found, wrong)
        """,
    )
    assert told[-1] == "{'acme:last'} []"


def test_two_packages_with_one_name_are_both_told(acme):
    install(acme, "Other", "2.0", {"activations": {"acme:cube": "other.plugins:cube"}}, plugins="cube = abs")
    told = run(
        acme,
        """
        tell(cx.BrokenPluginError, lambda: cx.activate([2.0], "acme:cube"))
        cx.activations.register("acme:cube", np.abs)
        print(cx.activate([-2.0], "acme:cube"))
        """,
    )
    assert told[0].startswith("activation 'acme:cube' is offered by ")
    assert "Acme 1.2" in told[0]
    assert "Other 2.0" in told[0]
    assert told[1] == "[2.]"


def test_the_list_tells_all_of_it(acme):
    offers = {"paddings": {"bad": "broken.bad:bad", "reflect": "broken.bad:reflect"}}
    install(acme, "Broken", "0.3", offers, bad="import acme_has_no_such_module")
    told = run(acme, 'print(cx.plugins("paddings", "activations"))')
    lines = {line.split()[0]: line.split() for line in told if line and not line.startswith("!")}
    picture = ["1", "1", "1", "1", "|", "1", "2", "3", "|", "3", "3", "3", "3"]
    assert lines["acme:last"][1:] == ["yes", "yes", *picture, "acme.plugins", "of", "Acme", "1.2"]
    name, compiled, gradient, _, *rest = lines["acme:cube"]
    assert (name, compiled, gradient) == ("acme:cube", "no", "yes")
    assert rest == ["acme:third_power", "acme.plugins", "of", "Acme", "1.2"]
    bad, reflect = (line for line in told if line.startswith("!"))
    assert bad.startswith("! bad: padding mode 'bad', offered by Broken 0.3 as 'broken.bad:bad', cannot be loaded: Mod")
    assert reflect == "! reflect: the name is also offered by Broken 0.3"


def test_nothing_is_read_at_import(acme):
    assert run(acme, 'print("importlib.metadata" in sys.modules, cx.pad([1, 2], 1, "mirror"))') == ["False [2 1 2 1]"]


def test_a_class_is_no_function(acme):
    install(acme, "Classy", "0.1", {"activations": {"kind": "classy.kinds:Kind"}}, kinds="class Kind: pass")
    told = run(acme, 'tell(cx.BrokenPluginError, lambda: cx.activations["kind"])')
    assert told[-1].endswith("is a class, and a function is wanted")


def test_checks_tell_of_every_kind_that_has_the_name(acme):
    install(acme, "Broken", "0.3", {"paddings": {"relu": "broken.bad:bad"}}, bad="import acme_has_no_such_module")
    told = run(acme, 'tell(cx.BrokenPluginError, lambda: cx.testing.checks("relu"))')
    assert "padding mode 'relu', offered by Broken 0.3" in told[-2]
    assert told[-1].startswith("activation 'relu' (registered by pyconvx.")
    assert told[-1].endswith("can be loaded")
