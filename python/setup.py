"""What pyproject.toml cannot say: the version is that of the whole project, in ../meson.build."""

import pathlib
import re

import setuptools

text = (pathlib.Path(__file__).resolve().parent.parent / "meson.build").read_text()
setuptools.setup(version=re.search(r"^\s*version: '([^']+)'", text, re.M).group(1))
