// Says of every clock cycle of an image what it was spent on, for `sim.profile`; the rest is `harness.cpp`.
// The signals looked at (FULL, ISSUE, ...) and the list KINDS come from the command line.
#include "harness.cpp"
#include "Vadafire_core___024root.h"

namespace {

enum Kind { KINDS, COUNT };
enum class Phase { INPUT, CONTROL, PASS, DECISION };

struct Profile {
    int64_t* table;  // [timestep][pass, then one row for what belongs to no pass][Kind]
    int passes, step = 0, pass = 0;
    bool started = false, answered = false, issued = false, blocked = false, filling = false;
    int64_t quiet = 0, emitting = 0;  // cycles without an event in hand, since when it is not yet known
    Phase phase = Phase::INPUT;

    int64_t& at(int row, Kind kind) { return table[(int64_t(step) * (passes + 1) + row) * COUNT + kind]; }

    // Whether what was issued is an event shows one cycle later, so a cycle of a pass is told in the next one.
    void in_pass(const Vadafire_core___024root& core) {
        if (issued || blocked) {
            at(pass, filling ? fill : search) += quiet + emitting;
            quiet = emitting = 0;
            filling = false;
            at(pass, blocked ? emission : core.BUSY ? busy : empty)++;
        } else {
            (core.EVENT_ENABLE ? emitting : quiet)++;
        }
        issued = core.ISSUE;
        blocked = core.FULL && !issued;
        at(pass, lane_cycles) += core.ACTIVE;
        at(pass, events) += core.EVENT_ENABLE;
        if (!core.PASS_DONE) return;
        at(pass++, drain) += quiet;
        at(pass - 1, emission) += emitting;
        phase = Phase::CONTROL;
    }

    void look(const Vadafire_core___024root& core, bool taken) {
        started |= taken;
        answered |= core.ANSWERING;
        if (!started || answered) return;
        if (phase == Phase::PASS) return in_pass(core);
        if (core.DECIDE) phase = Phase::DECISION;
        at(passes, phase == Phase::INPUT ? input : phase == Phase::DECISION ? decision : control)++;
        if (core.BEGIN_PASS) {
            phase = Phase::PASS;
            issued = blocked = false;
            filling = true;
            quiet = emitting = 0;
        }
        if (core.INGEST) phase = Phase::INPUT;
        if (core.INGESTED || core.DECIDED) phase = Phase::CONTROL;
        if (core.DECIDED) step++, pass = 0;
    }
};

}  // namespace

// One image without pauses, as `core_run`; what its cycles were spent on is added to `table`.
extern "C" int core_profile(Core* core, const int32_t* values, int64_t count, int64_t limit, int passes,
                            int64_t* table, int32_t* result, int64_t room) {
    auto& top = core->top;
    Profile profile{table, passes};
    int64_t sent = 0, received = 0, cycle = 0;
    for (; cycle < limit; cycle++) {
        top.i___05Fvalid = sent < count;
        if (sent < count)
            top.i___05Fpayload = (uint32_t(values[sent]) & ((1u << VALUE_BITS) - 1)) | (sent == 0) << VALUE_BITS;
        top.o___05Fready = 1;
        top.clk = 0;
        top.eval();
        const bool taken = top.i___05Fvalid && top.i___05Fready;
        const uint64_t word = top.o___05Fpayload;
        const bool given = top.o___05Fvalid;
        profile.look(*top.rootp, taken);
        core->tick();
        sent += taken;
        if (given && received < room) result[received++] = int32_t(word);
        if (given && (word >> 32 & 1)) break;
    }
    top.i___05Fvalid = 0;
    top.o___05Fready = 0;
    return cycle < limit ? int(received) : -1;
}
