// The memory outside the chip as a core sees it (`hw.memory.bus.MemoryBus`, words of 32 bits): it answers like an SDRAM
// of 16 bits, and worse where it is told to stall. OUTSIDE is how many words it has, OUTSIDE_BITS the bits of an address;
// without them the design has no such memory.
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#ifndef MEMORY_PORT  // its name in the design: a core's by default, two underscores between the parts
#define MEMORY_PORT(stream, part) memory___05F##stream##___05F##part
#endif

#ifdef OUTSIDE
class Outside {
public:
    std::vector<uint32_t> words = std::vector<uint32_t>(OUTSIDE, 0xA5A5A5A5u);  // nobody has written them
    uint32_t stalls = 0, random = 1;  // in 256, the chance that a stream pauses in a cycle
    uint64_t moved = 0;               // words read and written

    // Puts on the streams what the memory says in this cycle; before the design settles.
    template <typename Top>
    void drive(Top& top) {
        top.MEMORY_PORT(request, ready) = bursts_.size() < 2 && !pauses();
        const bool reads = !bursts_.empty() && !bursts_.front().write, due = cycle_ >= next_;
        if (reads && due && !offered_ && !pauses()) offered_ = true;
        top.MEMORY_PORT(read, valid) = offered_;
        if (offered_) top.MEMORY_PORT(read, payload) = words[bursts_.front().address % words.size()];
        takes_ = !bursts_.empty() && bursts_.front().write && due && !pauses();
        top.MEMORY_PORT(write, ready) = takes_;
    }

    // Takes what has moved; after the design has settled, before the edge of the clock.
    template <typename Top>
    void take(Top& top) {
        const bool read = offered_ && top.MEMORY_PORT(read, ready);
        const bool written = takes_ && top.MEMORY_PORT(write, valid);
        if (written) words[bursts_.front().address % words.size()] = top.MEMORY_PORT(write, payload);
        if (read || written) {
            moved++, offered_ = false, next_ = cycle_ + PACE;
            if (bursts_.front().left-- == 0) bursts_.pop_front(), next_ = cycle_ + (bursts_.empty() ? PACE : GAP);
            else bursts_.front().address++;
        }
        if (top.MEMORY_PORT(request, valid) && top.MEMORY_PORT(request, ready)) {
            const uint64_t request = top.MEMORY_PORT(request, payload);
            if (bursts_.empty()) next_ = cycle_ + LATENCY;
            bursts_.push_back({
                request & ((1ull << OUTSIDE_BITS) - 1), int(request >> OUTSIDE_BITS & 255),
                bool(request >> (OUTSIDE_BITS + 8) & 1),
            });
        }
        if (++cycle_ % REFRESH == 0) next_ = (next_ > cycle_ ? next_ : cycle_) + REFRESHING;
    }

private:
    // Cycles: to the first word of a burst, between two words, to the next burst, between refreshes, of a refresh.
    static constexpr uint64_t LATENCY = 10, PACE = 2, GAP = 4, REFRESH = 600, REFRESHING = 12;

    struct Burst {
        uint64_t address;
        int left;
        bool write;
    };

    std::deque<Burst> bursts_;
    uint64_t cycle_ = 0, next_ = 0;
    bool offered_ = false, takes_ = false;

    bool pauses() {
        if (!stalls) return false;
        random = random * 1664525u + 1013904223u;
        return (random >> 24) < stalls;
    }
};

#else
struct Outside {
    std::vector<uint32_t> words;
    uint32_t stalls = 0, random = 1;
    uint64_t moved = 0;
    template <typename Top>
    void drive(Top&) {}
    template <typename Top>
    void take(Top&) {}
};
#endif
