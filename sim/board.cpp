// The board of `sim.board`: a whole design, its UART pins on a pseudo-terminal.
//
//     board LINK CLOCKS
//
// LINK is the symbolic link to make to the terminal, CLOCKS are the clock cycles of one bit. Orders come on
// standard input, a line each, and each is answered by a line: plug, unplug, reset, cycles, faults, "fault
// DIRECTION KIND AT ARGUMENT", "spoil ADDRESS BITS" of a word outside the chip. The program ends when standard input does or its parent is gone.
//
// Time is simulated: the design runs as fast as it can while it works or a bit is under way, and not at all
// otherwise; the program then sleeps in poll(). Like a real adapter it drops what nobody reads.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vadafire_uart.h"
#define MEMORY_PORT(stream, part) memory_##stream##_##part
#include "outside.hpp"
#include "serial_line.hpp"
#include "verilated.h"

namespace {

constexpr int BURST = 512;          // cycles between two looks at terminal and orders
constexpr int QUIET = 1 << 15;      // cycles without work at pins or core: the link is done, too
constexpr int PARENT_CHECK = 1000;  // ms between two looks whether the parent still lives

using Clock = std::chrono::steady_clock;

int until(Clock::time_point when) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(when - Clock::now()).count();
    return left < 0 ? 0 : int(left) + 1;
}

struct Fault {
    std::string kind;
    uint64_t at;  // bytes in its direction that pass before it
    int argument;
};

// One direction of the cable with its faults: bytes pass through `pass`.
struct Direction {
    uint64_t passed = 0;
    std::vector<Fault> faults;
    Clock::time_point resume{};  // a delayed byte holds up all behind it

    bool held() const { return Clock::now() < resume; }

    bool take(Fault& fault) {
        for (size_t i = 0; i < faults.size(); i++)
            if (faults[i].at <= passed) {
                fault = faults[i];
                faults.erase(faults.begin() + long(i));
                return true;
            }
        return false;
    }
};

class Board {
    Terminal terminal;
    Sender sender;
    Receiver receiver;
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vadafire_uart> top;
    std::unique_ptr<Outside> outside;
    Direction rx, tx;
    Bytes incoming, outgoing;
    uint64_t cycles = 0, quiet = 0, done = 0;
    Clock::time_point replug{};
    bool pulled = false;

public:
    Board(const std::string& link, int clocks) : terminal(link), sender(clocks), receiver(clocks) {
        power();
        terminal.plug();
    }

    // A new model has the memories of the bitstream.
    void power() {
        top.reset();
        outside.reset();
        outside = std::make_unique<Outside>();
        context = std::make_unique<VerilatedContext>();
        top = std::make_unique<Vadafire_uart>(context.get());
        top->rst = 1;
        top->rx = 1;
        for (int i = 0; i < 4; i++) edge();
        top->rst = 0;
        receiver.drop();
        quiet = 0;
    }

    void serve() {
        for (const pid_t parent = getppid(); getppid() == parent;) {
            if (wait() && !obey()) return;
            if (pulled && until(replug) == 0) plug();
            terminal.receive(incoming);
            if (!still())
                for (int i = 0; i < BURST; i++) cycle();
            if (!tx.held()) terminal.send(outgoing);
        }
    }

private:
    bool still() const { return quiet > QUIET && (incoming.empty() || rx.held()); }

    void edge() {
        outside->drive(*top);
        top->clk = 0;
        top->eval();
        outside->take(*top);
        top->clk = 1;
        top->eval();
        cycles++;
    }

    void cycle() {
        if (!sender.busy() && !incoming.empty() && !rx.held()) feed();
        top->rx = sender.level();
        edge();
        sender.clock();
        uint8_t byte;
        if (receiver.clock(top->tx, byte)) give(byte);
        quiet = sender.busy() || receiver.busy() || top->active ? 0 : quiet + 1;
    }

    void feed() {
        Fault fault;
        bool stop = true;
        if (rx.take(fault)) {
            done++;
            if (fault.kind == "drop") return incoming.pop_front(), void(rx.passed++);
            if (fault.kind == "double") return sender.begin(incoming.front(), stop);
            if (fault.kind == "flip") incoming.front() ^= uint8_t(fault.argument);
            if (fault.kind == "stop") stop = false;
            if (!happen(fault, rx)) return;
        }
        sender.begin(incoming.front(), stop);
        incoming.pop_front();
        rx.passed++;
    }

    void give(uint8_t byte) {
        Fault fault;
        if (tx.take(fault)) {
            done++;
            if (fault.kind == "drop") return void(tx.passed++);
            if (fault.kind == "double") outgoing.push_back(byte);
            if (fault.kind == "flip") byte ^= uint8_t(fault.argument);
            if (fault.kind == "delay") terminal.send(outgoing);
            if (!happen(fault, tx)) return;
        }
        outgoing.push_back(byte);
        tx.passed++;
    }

    // What hits a direction or all of the board; false: the byte at hand is not to go on now.
    bool happen(const Fault& fault, Direction& direction) {
        const auto end = Clock::now() + std::chrono::milliseconds(fault.argument);
        if (fault.kind == "delay") direction.resume = end;
        if (fault.kind == "reset") power();
        if (fault.kind == "unplug") unplug(), replug = end, pulled = true;
        return fault.kind != "unplug" && !(fault.kind == "delay" && &direction == &rx);
    }

    void unplug() {
        terminal.unplug();
        incoming.clear();
        outgoing.clear();
        pulled = false;
    }

    void plug() {
        terminal.plug();
        pulled = false;
    }

    // Sleep until there is something to do, not at all while the design runs; true: there is an order.
    bool wait() {
        int timeout = still() ? PARENT_CHECK : 0;
        if (pulled) timeout = std::min(timeout, until(replug));
        if (rx.held()) timeout = std::min(timeout, until(rx.resume));
        if (tx.held()) timeout = std::min(timeout, until(tx.resume));
        short events = rx.held() || incoming.size() >= AHEAD ? 0 : POLLIN;
        if (!outgoing.empty() && !tx.held()) events |= POLLOUT;
        pollfd files[] = {{0, POLLIN, 0}, {terminal.file(), events, 0}};
        if (poll(files, 2, timeout) < 0 && errno != EINTR) Terminal::fail("poll");
        return files[0].revents != 0;
    }

    bool obey() {
        std::string line, word;
        if (!std::getline(std::cin, line)) return false;
        std::istringstream words(line);
        words >> word;
        if (word == "plug") plug();
        else if (word == "unplug") unplug();
        else if (word == "reset") power();
        else if (word == "fault") {
            Fault fault;
            words >> word >> fault.kind >> fault.at >> fault.argument;
            Direction& direction = word == "rx" ? rx : tx;
            fault.at += direction.passed;
            direction.faults.push_back(fault);
        } else if (word == "spoil") {
            uint64_t address, bits;
            words >> address >> bits;
            outside->spoil(address, uint32_t(bits));
        }
        std::cout << (word == "cycles" ? cycles : word == "faults" ? done : 0) << std::endl;
        return true;
    }
};

}  // namespace

int main(int count, char** words) {
    signal(SIGINT, SIG_IGN);  // Ctrl-C is for the parent, who ends us
    signal(SIGPIPE, SIG_IGN);
    if (count != 3) return std::cerr << "usage: board LINK CLOCKS\n", 2;
    try {
        {
            Board board(words[1], std::stoi(words[2]));
            std::cout << "ready" << std::endl;
            board.serve();
        }
        std::error_code kept;  // the link's folder goes, too, if it is empty
        std::filesystem::remove(std::filesystem::path(words[1]).parent_path(), kept);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
}
