"""A mistake that a command is given, and a network that it takes."""

from pyconvx.cli import main


def fails_with_one_line(capsys, arguments):
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("pyconvx")
    return captured.err


NET = {
    "layer": "Sequential",
    "layers": [
        {"layer": "Conv2D", "filters": 3, "kernel_size": 3, "activation": "relu"},
        {"layer": "Flatten"},
        {"layer": "Dense", "units": 2},
    ],
}
