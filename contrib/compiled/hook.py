"""Build hook of hatchling: a wheel whose hot modules are compiled to C by mypyc.

Only for wheels, and only when asked for (``HATCH_BUILD_HOOK_ENABLE_CUSTOM=1``): the sources are the same, and all
works without it. Nothing is written into the source tree. docs/dependencies.md says why hatch-mypyc does not serve.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledModules(BuildHookInterface[Any]):
    """Compiles the modules that pyproject.toml lists under ``modules`` (paths without ``.py``)."""

    _directory: TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and add what came out to the wheel beside the sources, which tracebacks show."""
        if version == "editable":
            return
        self._directory = TemporaryDirectory()
        built = os.path.join(self._directory.name, "built")
        self._compile(self._directory.name, built)
        for folder, _, names in os.walk(built):
            for name in names:
                path = os.path.join(folder, name)
                build_data["force_include"][path] = os.path.relpath(path, built)
        build_data["pure_python"], build_data["infer_tag"] = False, True

    def _compile(self, directory: str, built: str) -> None:
        # setuptools first: it replaces the distutils that mypyc asks for.
        from mypyc.build import mypycify
        from setuptools import Distribution

        os.chdir(self.root)  # mypyc names modules by their relative paths
        extensions = mypycify(
            [f"{module}.py" for module in self.config["modules"]],
            opt_level="3", group_name="gateway", target_dir=os.path.join(directory, "c"),
        )  # fmt: skip
        build = Distribution({"name": "postgate", "ext_modules": extensions}).get_command_obj("build_ext")
        build.build_lib, build.build_temp = built, os.path.join(directory, "objects")
        build.ensure_finalized()
        build.run()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built; the wheel has it."""
        if self._directory is not None:
            self._directory.cleanup()
