// The memory outside the chip as a core sees it (`hw.memory.bus.MemoryBus`, words of 32 bits): the board's SDRAM behind
// its controller, and worse where it is told to stall. OUTSIDE_BITS are the bits of an address of the core, DRAM_BITS
// those of the controller; without them the design has no such memory.
#pragma once
#include <cstdint>

#ifndef MEMORY_PORT  // its name in the design: a core's by default, two underscores between the parts
#define MEMORY_PORT(stream, part) memory___05F##stream##___05F##part
#endif

#ifdef OUTSIDE_BITS
#include "dram.hpp"

class Outside {
public:
    uint32_t stalls = 0, random = 1;  // in 256, the chance that a stream pauses in a cycle
    uint64_t moved = 0;               // words read and written

    // Puts on the streams what the memory says in this cycle; before the design settles.
    template <typename Top>
    void drive(Top& top) {
        // What was offered stays: a stream that pauses does not take back what the other side has seen.
        asks_ = asks_ || !pauses(), gives_ = gives_ || !pauses(), comes_ = dram_.comes && (comes_ || !pauses());
        top.MEMORY_PORT(request, ready) = dram_.asked && asks_;
        top.MEMORY_PORT(write, ready) = dram_.taken && gives_;
        top.MEMORY_PORT(read, valid) = comes_;
        top.MEMORY_PORT(read, payload) = dram_.word;
    }

    // Takes what has moved; after the design has settled, before the edge of the clock.
    template <typename Top>
    void take(Top& top) {
        const uint64_t request = top.MEMORY_PORT(request, payload), address = (1ull << OUTSIDE_BITS) - 1;
        dram_.request = (request & address) | request >> OUTSIDE_BITS << DRAM_BITS;
        dram_.asks = top.MEMORY_PORT(request, valid) && asks_;
        dram_.gives = top.MEMORY_PORT(write, valid) && gives_;
        dram_.given = top.MEMORY_PORT(write, payload);
        dram_.takes = top.MEMORY_PORT(read, ready) && comes_;
        const bool read = dram_.takes, written = dram_.gives && dram_.taken;
        moved += read + written;
        asks_ = dram_.asks && !dram_.asked, gives_ = dram_.gives && !dram_.taken, comes_ = comes_ && !read;
        dram_.clock();
    }

    uint32_t broken() const { return dram_.broken; }

    void fill(const uint32_t* words, uint64_t count) {
        for (uint64_t address = 0; address < count; address++) dram_.write(address, words[address]);
    }

    void spoil(uint64_t address, uint32_t bits) { dram_.write(address, dram_.read(address) ^ bits); }

private:
    Dram dram_;
    bool asks_ = false, gives_ = false, comes_ = false;

    bool pauses() {
        if (!stalls) return false;
        random = random * 1664525u + 1013904223u;
        return (random >> 24) < stalls;
    }
};

#else
struct Outside {
    uint32_t stalls = 0, random = 1;
    uint64_t moved = 0;
    template <typename Top>
    void drive(Top&) {}
    template <typename Top>
    void take(Top&) {}
    uint32_t broken() const { return 0; }
    void fill(const uint32_t*, uint64_t) {}
    void spoil(uint64_t, uint32_t) {}
};
#endif
