"""What pyproject.toml cannot say: the version is that of the whole project, in ../meson.build, and a
wheel with libwharf inside (tools/package puts it there) is for one platform and any Python 3."""

import pathlib
import re

import setuptools

try:
    from setuptools.command.bdist_wheel import bdist_wheel  # since 70.1
except ImportError:
    from wheel.bdist_wheel import bdist_wheel

here = pathlib.Path(__file__).resolve().parent
has_library = any((here / "wharf").glob("libwharf.so.*"))


class Wheel(bdist_wheel):
    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = not has_library

    def get_tag(self):
        _, _, platform = super().get_tag()
        return "py3", "none", platform


class Distribution(setuptools.Distribution):
    def has_ext_modules(self):
        return has_library


text = (here.parent / "meson.build").read_text()
setuptools.setup(version=re.search(r"^\s*version: '([^']+)'", text, re.M).group(1),
                 cmdclass={"bdist_wheel": Wheel}, distclass=Distribution)
