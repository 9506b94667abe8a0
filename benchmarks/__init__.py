"""How fast pyconvx is, beside whichever other libraries are installed: `python -m benchmarks`. See README.md here."""
