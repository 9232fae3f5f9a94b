// Says of every clock cycle of an image what it was spent on, for `sim.core_profile`; the rest is the harness's.
// The signals looked at (GO, BUSY, ...) and the list KINDS come from the command line; lists have one for each group.
#include HARNESS
#include "Vadafire_core___024root.h"

namespace {

enum Kind { KINDS, COUNT };

struct Profile {
    int64_t* table;        // [round][pass, then one row for what belongs to no pass][Kind]
    const int32_t* begins; // whether a pass is the first one of a stage
    int passes, step = 0, pass = 0;
    bool running = false, deciding = false, filling = false, went = false;

    int64_t& at(int row, Kind kind) { return table[(int64_t(step) * (passes + 1) + row) * COUNT + kind]; }

    static int sum(std::initializer_list<int> values) {
        int total = 0;
        for (int value : values) total += value;
        return total;
    }

    void look(const Vadafire_core& top, const Vadafire_core___024root& core) {
        if (!core.RUNS) return;
        if (went) {
            pass = top.probe_layer;
            step = begins[pass] && !core.FIRST ? step + 1 : core.FIRST && begins[pass] ? 0 : step;
            running = filling = true;
        }
        const int groups = sum({BUSY}), waiting = sum({FULL}) - sum({ISSUE});
        if (core.DECIDE) deciding = true;
        if (running) {
            at(pass, group_cycles) += groups;
            at(pass, lane_cycles) += sum({ACTIVE});
            at(pass, events) += sum({COUNTED});
            if (groups) filling = false;
            at(pass, groups ? busy : waiting ? spacing : filling ? fill : core.SENT ? drain : search)++;
        } else {
            at(passes, deciding ? decision : core.WAITING ? input : control)++;
        }
        if (running && core.SENT && sum({IDLE}) == GROUPS && !went) running = false;
        if (core.DECIDED) deciding = false;
        went = core.GO;
    }
};

}  // namespace

// Run to the next result of the batch, as `core_next`; what its cycles were spent on is added to `table`.
extern "C" int64_t core_profile(Core* core, int passes, const int32_t* begins, int64_t* table, int32_t* result,
                                int64_t room, int64_t limit) {
    Profile profile{table, begins, passes};
    core->look = [&] { profile.look(core->top, *core->top.rootp); };
    const int64_t received = core_next(core, result, room, limit);
    core->look = nullptr;
    return received;
}
