// What `dram.cpp` shows of an SDRAM behind its controller: the streams of its bus, a cycle at a time.
#pragma once
#include <cstdint>

class Dram {
public:
    // Said in this cycle: a request is taken, a word to write is taken, a word that was read comes.
    bool asked = false, taken = false, comes = false;
    uint32_t word = 0, broken = 0;  // the rules of the part that were broken, a bit each, for good

    // Heard in this cycle: a request, its address lowest (`hw.memory.bus.memory_request`), a word to write, that a word
    // read is taken.
    bool asks = false, gives = false, takes = false;
    uint64_t request = 0;
    uint32_t given = 0;

    Dram();
    ~Dram();
    Dram(const Dram&) = delete;
    Dram& operator=(const Dram&) = delete;

    void clock();  // ends the cycle

    // Words as they lie in the part, not over the bus.
    uint32_t read(uint64_t address) const;
    void write(uint64_t address, uint32_t to);

private:
    void* model_;
    void hear();
};
