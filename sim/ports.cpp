// Counts the words that the memories of a core read and write in an image, for `sim.ports`; the rest is `harness.cpp`.
// The signals looked at (EVENT_TAKEN, ...), the list COLUMNS and the state FETCH come from the command line.
#include "harness.cpp"
#include "Vadafire_core___024root.h"

namespace {

enum Column { COLUMNS, COUNT };
enum Scan { SCAN_FETCH = 2 };
enum Decision { MARGIN = 5, LIMIT = 8 };
constexpr int DRAIN = 200;  // cycles after the result in which the next program record may still be fetched

struct Ports {
    int64_t* words;
    bool candidate = false, clipped = false;  // a candidate's pointers are addressed two cycles after it

    void look(const Vadafire_core___024root& core) {
        words[weights] += core.WEIGHT_TAKEN;
        words[events] += core.EVENT_TAKEN;
        words[events_stored] += core.EVENT_STORED;
        words[pointers] += clipped && core.INSIDE;
        words[pointers_stored] += core.POINTER_STORED;
        words[theta] += core.WORD && (core.INITIAL || core.STATE);
#ifdef UNBIASED
        words[bias] += core.WORD && core.GATHERS && !core.UNBIASED;
#else
        words[bias] += core.WORD && core.GATHERS;
#endif
        words[v_init] += core.WORD && core.INITIAL;
        words[states] += core.WORD && core.STATE;
        words[currents] += core.WORD && !core.GATHERS;
        words[logits] += (core.WORD && core.LOGIT) + (core.SCAN == SCAN_FETCH);
        words[states_stored] += core.STATE_STORED;
        words[currents_stored] += core.CURRENT_STORED;
        words[logits_stored] += core.LOGIT_STORED;
        words[program] += core.PROGRAM == FETCH;
        words[limits] += core.DECISION == MARGIN || core.DECISION == LIMIT;
        clipped = candidate;
        candidate = core.CANDIDATE;
    }
};

}  // namespace

// One image without pauses, as `core_run`, its result dropped; the words it moves are added to `counted`.
extern "C" void core_ports(Core* core, const int32_t* values, int64_t count, int64_t limit, int64_t* counted) {
    auto& top = core->top;
    Ports ports{counted};
    int64_t sent = 0;
    int rest = -1;
    for (int64_t cycle = 0; cycle < limit && rest != 0; cycle++) {
        top.i___05Fvalid = sent < count && rest < 0;
        if (sent < count)
            top.i___05Fpayload = (uint32_t(values[sent]) & ((1u << VALUE_BITS) - 1)) | (sent == 0) << VALUE_BITS;
        top.o___05Fready = 1;
        top.clk = 0;
        top.eval();
        const bool taken = top.i___05Fvalid && top.i___05Fready;
        const bool last = top.o___05Fvalid && (uint64_t(top.o___05Fpayload) >> 32 & 1);
        ports.look(*top.rootp);
        core->tick();
        sent += taken;
        rest = last ? DRAIN : rest - (rest > 0);
    }
    top.i___05Fvalid = 0;
    top.o___05Fready = 0;
}
