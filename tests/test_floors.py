"""Imports run one way, gen -> hw -> sim -> host, and the light modules stay light."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("gen", "hw", "sim", "host")
FILES = [path.relative_to(ROOT) for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]
CONTRACT = {
    f"gen.{name}" for name in ("device", "intnet", "layers", "window", "exit_rule", "inputs", "result", "errors")
}
GOLDEN = [path for path in FILES if path.parts[:2] == ("sim", "golden")]
# what a host without torch and Amaranth loads
LIGHT = {
    *(Path(f"gen/{name}.py") for name in ("__init__", "netfile", "network_checks")),
    *(Path(f"{name.replace('.', '/')}.py") for name in CONTRACT),
    *(Path(f"gen/data/{name}.py") for name in ("datasets", "folder", "images", "named", "npz", "parse")),
}


def imports(path, top_level_only=False):
    """Return the full names of the modules that a file imports."""
    names = set()
    tree = ast.parse((ROOT / path).read_text())
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(path, **keywords):
    return {name.split(".")[0] for name in imports(path, **keywords)}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_run_one_way(path):
    above = FLOORS[FLOORS.index(path.parts[0]) + 1 :]
    assert not packages(path) & {*above, "adafire"}


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "host" or path in LIGHT], ids=str)
def test_light_modules_load_without_torch_and_amaranth(path):
    assert not packages(path, top_level_only=True) & {"torch", "amaranth"}


@pytest.mark.parametrize("path", GOLDEN, ids=str)
def test_the_golden_model_knows_the_contract_only(path):
    assert packages(path) <= {"gen", "sim", "numpy", "numba", "onnx", "onnxruntime", *sys.stdlib_module_names}
    ours = {full for full in imports(path) if full.startswith(("gen.", "sim."))}
    modules = {".".join(full.split(".")[:2]) for full in ours}
    assert modules <= CONTRACT | {"sim.golden"}


def test_the_register_map_imports_nothing_of_ours():
    for path in FILES:
        if path == Path("hw/regmap.py"):
            assert packages(path) <= sys.stdlib_module_names


def test_the_walk_sees_the_files():
    assert len(GOLDEN) >= 2
    assert {Path("gen/intnet.py"), Path("sim/golden/device.py"), Path("gen/exit_rule.py")} <= set(FILES)
