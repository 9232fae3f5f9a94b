// Counts the words that the memories of a core read and write in an image, for `tests.kit.ports`; the rest is the
// harness's. The signals looked at (EVENT, ...) and the list COLUMNS come from the command line.
#include HARNESS
#include "Vadafire_core___024root.h"

namespace {

enum Column { COLUMNS, COUNT };

struct Ports {
    int64_t (*words)[2];  // [Column]: read, written

    void look(const Vadafire_core___024root& core) {
        const bool event[] = {EVENT}, come[] = {COME}, word[] = {WORD}, from_image[] = {IMAGE}, beat[] = {BEAT},
                   pool[] = {POOL}, readout[] = {READOUT}, first[] = {FIRST}, stored[] = {STORED},
                   state_stored[] = {STATE_STORED}, current_read[] = {CURRENT_READ},
                   current_stored[] = {CURRENT_STORED}, resumes[] = {RESUMES};
        for (int g = 0; g < GROUPS; g++) {
            words[weights][0] += event[g];
            if (come[g] && word[g]) words[from_image[g] ? image : maps][0]++;
            words[maps][1] += stored[g] * GROUPS;
            words[states][1] += state_stored[g];
            words[currents][1] += current_stored[g];
            if (!beat[g]) continue;
            const bool initial = first[g] && !resumes[g];
            words[parameters][0] += !pool[g];
            words[currents][0] += current_read[g];
            words[states][0] += !pool[g] && !readout[g] && !initial;
            words[outputs][0] += readout[g] && !initial;
            words[outputs][1] += readout[g];
        }
    }
};

}  // namespace

// Run to the next result of the batch, as `core_next`; the words that are moved are added to `counted`.
extern "C" int64_t core_ports(Core* core, int64_t (*counted)[2], int32_t* result, int64_t room, int64_t limit) {
    Ports ports{counted};
    core->look = [&] { ports.look(*core->top.rootp); };
    const int64_t received = core_next(core, result, room, limit);
    core->look = nullptr;
    return received;
}
