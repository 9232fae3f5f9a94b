// Drives one compiled core for `sim.model`: loads memories, feeds images, collects results and the probe.
// LANES, VALUE_BITS, ACC_BITS come from the command line.
#include <cstdint>
#include <vector>
#include "Vadafire_core.h"
#include "verilated.h"

namespace {

template <typename Word>
uint64_t field(const Word& word, int low, int width) {
    return (uint64_t(word) >> low) & (width == 64 ? ~0ull : (1ull << width) - 1);
}

template <std::size_t N>
uint64_t field(const VlWide<N>& word, int low, int width) {
    uint64_t value = 0;
    for (int bit = 0; bit < width; bit += 32 - (low + bit) % 32)
        value |= uint64_t(word[(low + bit) / 32] >> ((low + bit) % 32)) << bit;
    return value & ((1ull << width) - 1);
}

int32_t extend(uint64_t value, int width) {
    return int32_t(uint32_t(value) << (32 - width)) >> (32 - width);
}

struct Core {
    VerilatedContext context;
    Vadafire_core top{&context};
    uint64_t cycles = 0;
    uint32_t random = 1;
    bool probing = false;
    std::vector<int32_t> probe;  // per fired tile: image, pass, counts of the lanes, states of the lanes

    bool chance(uint32_t of_256) {
        random = random * 1664525u + 1013904223u;
        return (random >> 24) < of_256;
    }

    void tick() {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
        cycles++;
    }

    void watch(int image) {
        if (!probing || !top.probe_fired) return;
        probe.push_back(image);
        probe.push_back(int32_t(top.probe_layer));
        for (int lane = 0; lane < LANES; lane++)
            probe.push_back(extend(field(top.probe_counts, lane * VALUE_BITS, VALUE_BITS), VALUE_BITS));
        for (int lane = 0; lane < LANES; lane++)
            probe.push_back(extend(field(top.probe_states, lane * ACC_BITS, ACC_BITS), ACC_BITS));
    }
};

}  // namespace

extern "C" {

Core* core_create() {
    auto* core = new Core;
    core->top.rst = 1;
    for (int i = 0; i < 4; i++) core->tick();
    core->top.rst = 0;
    core->tick();
    return core;
}

void core_destroy(Core* core) { delete core; }

// Returns 0, or 1 when the core has not taken all words after `limit` cycles.
int core_load(Core* core, const uint32_t* words, int64_t count, int64_t limit) {
    for (int64_t i = 0; i < count && limit-- > 0;) {
        core->top.load___05Fvalid = 1;
        core->top.load___05Fpayload = words[i];
        core->top.clk = 0;
        core->top.eval();
        const bool taken = core->top.load___05Fready;
        core->tick();
        i += taken;
    }
    core->top.load___05Fvalid = 0;
    for (int i = 0; i < 4; i++) core->tick();
    return limit <= 0;
}

// One image: `values` are its input words. `stalls` in 256 is the chance that either side pauses in a cycle.
// After `abort_at` cycles (negative: never) the image is given up; no result comes then.
// Returns the number of result words, or -1 when none has come after `limit` cycles.
int core_run(Core* core, int image, const int32_t* values, int64_t count, uint32_t stalls, uint32_t seed,
             int64_t abort_at, int64_t limit, int32_t* result, int64_t room) {
    auto& top = core->top;
    core->random = seed * 2654435761u + 1;
    int64_t sent = 0, received = 0, cycle = 0;
    bool offered = false;
    for (; cycle < limit; cycle++) {
        if (!offered && sent < count) offered = !core->chance(stalls);
        top.i___05Fvalid = offered && sent < count;
        if (sent < count)
            top.i___05Fpayload = (uint32_t(values[sent]) & ((1u << VALUE_BITS) - 1)) | (sent == 0) << VALUE_BITS;
        top.o___05Fready = !core->chance(stalls);
        top.__SYM__abort = cycle == abort_at;
        top.clk = 0;
        top.eval();
        const bool taken = top.i___05Fvalid && top.i___05Fready;
        const bool given = top.o___05Fvalid && top.o___05Fready;
        const uint64_t word = top.o___05Fpayload;
        core->watch(image);
        core->tick();
        if (taken) sent++, offered = false;
        if (given && received < room) result[received++] = int32_t(word);
        if (given && (word >> 32 & 1)) break;
        if (abort_at >= 0 && cycle > abort_at && top.idle) break;
    }
    top.i___05Fvalid = 0;
    top.o___05Fready = 0;
    top.__SYM__abort = 0;
    return cycle < limit ? int(received) : -1;
}

void core_probe(Core* core, int on) {
    core->probing = on;
    core->probe.clear();
}

int64_t core_probe_size(Core* core) { return int64_t(core->probe.size()); }

const int32_t* core_probe_data(Core* core) { return core->probe.data(); }

uint64_t core_cycles(Core* core) { return core->cycles; }

}  // extern "C"
