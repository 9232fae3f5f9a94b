"""`hw.names`: odd names become plain ones, none of them another's."""

from hw.names import plain_names


def test_parts_of_words_and_arrays_in_verilog_and_rtlil():
    assert plain_names("  assign \\load.data [3:0] = ~\\sums[1] ;") == "  assign \\load_data [3:0] = ~\\sums_1 ;"
    assert plain_names('  wire \\$signal.last\n  parameter \\MEMID "\\\\bits[0]"\n') == (
        '  wire \\signal_last\n  parameter \\MEMID "\\\\bits_0"\n'
    )


def test_no_two_names_become_one():
    text = " ".join(f"\\{name}" for name in ("a_b", "a.b", "a[b", "a_b_2", "a.b", "steps$37"))
    plain = plain_names(text).split()
    assert len(set(plain)) == 5 and plain[1] == plain[4]
    assert plain[0] == "\\a_b" and plain[3] == "\\a_b_2" and plain[5] == "\\steps$37"


def test_modules_keep_their_places():
    text = "module \\core.lanes \n  wire \\lanes.sum \nend\n  cell \\core.lanes \\lanes\n"
    assert plain_names(text) == text.replace("\\lanes.sum", "\\lanes_sum")
