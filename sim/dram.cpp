// A board's memory behind its controller (`sim.dram`), for the harness of a core: compiled once for all of them.
//
// Nothing that the controller says in a cycle hangs on what it hears in that cycle: so its outputs are known before
// the core settles. BEATS are the words of the memory in one of the bus, CELLS names them.
#include <algorithm>
#include <cstdint>
#include "Vadafire_dram.h"
#include "Vadafire_dram___024root.h"
#include "dram.hpp"
#include "verilated.h"

namespace {

constexpr int PIN_BITS = 32 / BEATS;
constexpr uint32_t UNWRITTEN = 0xA5A5A5A5u;
constexpr int POWER_UP = POWER_UP_CYCLES;  // until the first request is taken at once

struct Model {
    VerilatedContext context;
    Vadafire_dram top{&context};

    auto& cells() { return top.rootp->CELLS; }

    uint32_t read(uint64_t address) {
        uint32_t word = 0;
        for (int beat = 0; beat < BEATS; beat++)
            word |= uint32_t(cells()[address * BEATS + beat]) << (beat * PIN_BITS % 32);
        return word;
    }

    void write(uint64_t address, uint32_t word) {
        for (int beat = 0; beat < BEATS; beat++)
            cells()[address * BEATS + beat] = word >> (beat * PIN_BITS % 32) & (0xFFFFFFFFu >> (32 - PIN_BITS));
    }

    void clock() {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
    }
};

Model& model(void* of) { return *static_cast<Model*>(of); }

}  // namespace

Dram::Dram() : model_(new Model) {
    Model& own = model(model_);
    for (uint64_t address = 0; address < WORDS; address++) own.write(address, UNWRITTEN);
    own.top.clk = 0;
    own.top.eval();
    for (int i = 0; i < POWER_UP; i++) own.clock();
    hear();
}

Dram::~Dram() {
    Verilated::threadContextp(&model(model_).context);  // which its scopes leave
    delete static_cast<Model*>(model_);
}

void Dram::clock() {
    auto& top = model(model_).top;
    top.bus_request_valid = asks;
    top.bus_request_payload = request;
    top.bus_write_valid = gives;
    top.bus_write_payload = given;
    top.bus_read_ready = takes;
    model(model_).clock();
    hear();
}

void Dram::hear() {
    auto& top = model(model_).top;
    asked = top.bus_request_ready;
    taken = top.bus_write_ready;
    comes = top.bus_read_valid;
    word = top.bus_read_payload;
    broken = top.broken;
}

uint32_t Dram::read(uint64_t address) const { return model(model_).read(address); }

void Dram::write(uint64_t address, uint32_t to) { model(model_).write(address, to); }
