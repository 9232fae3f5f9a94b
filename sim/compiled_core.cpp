// Drives one compiled core for `sim.compiled_core`: loads memories, streams images in, takes results and the probe.
//
// Images follow one another without waiting: the next one is offered while one is computed, and results are taken
// behind. GROUPS, NEURONS, INPUT_VALUES, VALUE_BITS, COUNT_BITS and STATE_BITS come from the command line.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>
#include "Vadafire_core.h"
#include "verilated.h"
#include "outside.hpp"

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

// Bits of a payload that is 0 there.
template <typename Word>
void put(Word& word, int low, uint64_t value) {
    word |= Word(value) << low;
}

template <std::size_t N>
void put(VlWide<N>& word, int low, uint64_t value) {
    for (; value; value >>= 32 - low % 32, low += 32 - low % 32) word[low / 32] |= uint32_t(value << low % 32);
}

int32_t extend(uint64_t value, int width) {
    return int32_t(uint32_t(value) << (32 - width)) >> (32 - width);
}

// One neuron as it fires. `image` counts the results offered before, and the images given up: the neurons of an image
// fire after the result of the one before it is offered.
struct Fired {
    int32_t image, pass, group, count, state;
};

// The values still to be offered: `count` in images of `size`, `sent` of them taken.
struct Feed {
    const int32_t* values = nullptr;
    int64_t size = 0, count = 0, sent = 0;
    bool offered = false;
};

struct Core {
    Outside outside;  // the core goes first, while the thread has its context
    VerilatedContext context;
    Vadafire_core top{&context};
    Feed feed;
    uint64_t cycles = 0;
    uint32_t random = 1, stalls = 0;  // stalls: in 256, the chance that either side pauses in a cycle
    int32_t image = 0;                // whose neurons fire
    bool shown = false;               // the result on the output has been counted
    int64_t received = 0;             // words of the result that is being taken
    bool probing = false;
    std::vector<Fired> fired;
    std::function<void()> look;  // at what cannot be seen from outside, once a cycle, for other harnesses

    bool pauses() {
        if (!stalls) return false;
        random = random * 1664525u + 1013904223u;
        return (random >> 24) < stalls;
    }

    void settle() {
        outside.drive(top);
        top.clk = 0;
        top.eval();
    }

    void edge() {
        outside.take(top);
        top.clk = 1;
        top.eval();
        cycles++;
    }

    void tick() {
        settle();
        edge();
    }

    void offer() {
        if (!feed.offered && feed.sent < feed.count && !pauses()) {
            std::remove_reference_t<decltype(top.i___05Fpayload)> beat{};
            for (int n = 0; n < INPUT_VALUES; n++)
                put(beat, n * VALUE_BITS, uint32_t(feed.values[feed.sent + n]) & ((1u << VALUE_BITS) - 1));
            put(beat, INPUT_VALUES * VALUE_BITS, feed.sent % feed.size == 0);
            top.i___05Fpayload = beat;
            feed.offered = true;
        }
        top.i___05Fvalid = feed.offered;
    }

    void watch() {
        if (top.o___05Fvalid && !shown) shown = true, image++;
        if (!probing || !top.probe_fired) return;
        for (int neuron = 0; neuron < GROUPS * NEURONS; neuron++)
            if (top.probe_fired >> neuron & 1)
                fired.push_back({
                    image, int32_t(top.probe_layer), neuron / NEURONS,
                    extend(field(top.probe_counts, neuron * COUNT_BITS, COUNT_BITS), COUNT_BITS),
                    extend(field(top.probe_states, neuron * STATE_BITS, STATE_BITS), STATE_BITS),
                });
    }

    // One cycle of a batch; returns whether a word of a result was taken, and `word` is it.
    bool step(uint64_t& word) {
        offer();
        top.o___05Fready = !pauses();
        settle();
        const bool taken = feed.offered && top.i___05Fready, given = top.o___05Fvalid && top.o___05Fready;
        word = top.o___05Fpayload;
        watch();
        if (look) look();
        edge();
        if (taken) feed.sent += INPUT_VALUES, feed.offered = false;
        if (given && (word >> 32 & 1)) shown = false;
        return given;
    }

    void rest() {
        top.i___05Fvalid = 0;
        top.o___05Fready = 0;
        top.__SYM__abort = 0;
        feed = {};
    }
};

}  // namespace

extern "C" {

Core* core_create() {
    auto* core = new Core;
    for (int i = 0; i < 4; i++) core->tick();
    return core;
}

void core_destroy(Core* core) {
    Verilated::threadContextp(&core->context);  // which its scopes leave
    delete core;
}

// Returns 0; 1 when the core has not taken all words after `limit` cycles; 2 when it finds the load damaged.
int core_load(Core* core, const uint32_t* words, int64_t count, int64_t limit) {
    auto& top = core->top;
    for (int64_t i = 0; i < count && limit > 0; limit--) {
        top.load___05Fvalid = 1;
        top.load___05Fpayload = words[i];
        core->settle();
        i += top.load___05Fready;
        core->edge();
    }
    top.load___05Fvalid = 0;
    core->tick();
    for (; !top.idle && limit > 0; limit--) core->tick();  // the digest of the last word
    return limit <= 0 ? 1 : top.fault ? 2 : 0;
}

// Begin a batch: `images` of `size` values at `values`, which must stay where they are until the last result.
void core_begin(Core* core, const int32_t* values, int64_t images, int64_t size, uint32_t stalls, uint32_t seed) {
    core->random = seed * 2654435761u + 1;
    core->stalls = stalls;
    core->feed = {values, size, images * size};
    core->shown = false;
    core->received = 0;
    core->outside.stalls = stalls, core->outside.random = core->random + 1;
}

// Run to the next result of the batch; returns its words, or -1 when it has not ended after `limit` cycles: then it
// goes on when called again.
int64_t core_next(Core* core, int32_t* result, int64_t room, int64_t limit) {
    for (uint64_t word; limit > 0; limit--) {
        if (!core->step(word)) continue;
        if (core->received < room) result[core->received] = int32_t(word);
        core->received++;
        if (word >> 32 & 1) return std::exchange(core->received, 0);
    }
    return -1;
}

// Run so many cycles; returns the results that came.
int64_t core_go(Core* core, int64_t cycles) {
    int64_t results = 0;
    for (uint64_t word; cycles > 0; cycles--) results += core->step(word) && (word >> 32 & 1);
    return results;
}

// Give the batch up and wait until the core is idle. Returns the results that came all the same, or -1 when it is not
// idle after `limit` cycles. Neurons of a batch that fire later are not seen: they may be of its next image's input.
int64_t core_abort(Core* core, int64_t limit) {
    const bool probing = core->probing;
    int64_t results = 0;
    core->feed = {};  // nothing is offered any more: a first word would begin another image
    core->top.__SYM__abort = 1;
    for (uint64_t word; limit > 0; limit--) {
        const bool given_up = !core->top.__SYM__abort;
        results += core->step(word) && (word >> 32 & 1);
        core->top.__SYM__abort = 0;
        if (BATCH > 1) core->probing = false;
        if (given_up && core->top.idle) break;
    }
    core->probing = probing;
    core->rest();
    core->image++;
    return limit > 0 ? results : -1;
}

// End a batch: nothing is offered or taken any more.
void core_end(Core* core) { core->rest(); }

void core_probe(Core* core, int on) {
    core->probing = on;
    core->image = 0;
    core->fired.clear();
}

int64_t core_probe_size(Core* core) { return int64_t(core->fired.size()); }

const int32_t* core_probe_data(Core* core) { return reinterpret_cast<const int32_t*>(core->fired.data()); }

uint64_t core_cycles(Core* core) { return core->cycles; }

// Words that have moved to and from the memory outside the chip.
uint64_t core_moved(Core* core) { return core->outside.moved; }

// Put words outside the chip, from address 0 on, without the load port.
void core_fill(Core* core, const uint32_t* words, int64_t count) {
    core->outside.fill(words, uint64_t(count));
}

// Turn bits of a word outside the chip.
void core_spoil(Core* core, int64_t address, uint32_t bits) { core->outside.spoil(uint64_t(address), bits); }

// The rules of the memory outside that its controller has broken, a bit each.
uint32_t core_broken(Core* core) { return core->outside.broken(); }

}  // extern "C"
