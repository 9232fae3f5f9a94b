// The board of `sim.board`: a whole design, its UART pins on a pseudo-terminal.
//
//     board LINK CLOCKS
//
// LINK is the symbolic link to make to the terminal, CLOCKS are the clock cycles of one bit. Orders come on standard
// input, a line each, and each is answered by a line: plug, unplug, reset, cycles, "fault DIRECTION KIND AT ARGUMENT",
// faults. The program ends when standard input does or its parent is gone.
//
// Time is simulated: the design runs as fast as it can while it works or a bit is under way, and not at all otherwise;
// the program then sleeps in poll(). Like a real adapter it drops what nobody reads.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vadafire_uart.h"
#include "verilated.h"

namespace {

constexpr int BURST = 512;          // cycles between two looks at terminal and orders
constexpr int QUIET = 1 << 15;      // cycles without work at the pins or in the core: the link is done by then, too
constexpr size_t AHEAD = 256;       // bytes taken from the terminal before they are on the wire
constexpr size_t UNREAD = 1 << 16;  // bytes kept for a terminal that is full
constexpr int PARENT_CHECK = 1000;  // ms between two looks whether the parent still lives

using Clock = std::chrono::steady_clock;
using Bytes = std::deque<uint8_t>;

int until(Clock::time_point when) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(when - Clock::now()).count();
    return left < 0 ? 0 : int(left) + 1;
}

// The terminal. Our own file of its client's side keeps it raw, and alive while no client has it open.
class Terminal {
    std::string link;
    int master = -1, slave = -1;

public:
    explicit Terminal(const std::string& link) : link(link) {}
    ~Terminal() { unplug(); }

    int file() const { return master; }

    void plug() {
        if (master >= 0) return;
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (master < 0 || grantpt(master) || unlockpt(master)) fail("a pseudo-terminal");
        const std::string name = ptsname(master);
        slave = open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
        termios raw;
        if (slave < 0 || tcgetattr(slave, &raw)) fail(name);
        cfmakeraw(&raw);
        if (tcsetattr(slave, TCSANOW, &raw)) fail(name);
        fcntl(master, F_SETFL, O_NONBLOCK);
        const std::string partial = link + ".new";
        unlink(partial.c_str());
        if (symlink(name.c_str(), partial.c_str()) || rename(partial.c_str(), link.c_str())) fail(link);
    }

    void unplug() {
        if (master < 0) return;
        unlink(link.c_str());
        close(slave);
        close(master);
        master = slave = -1;
    }

    void receive(Bytes& to) {
        uint8_t buffer[AHEAD];
        if (master < 0 || to.size() >= AHEAD) return;
        const ssize_t count = read(master, buffer, AHEAD - to.size());
        if (count > 0) to.insert(to.end(), buffer, buffer + count);
    }

    void send(Bytes& from) {
        if (from.empty()) return;
        const std::vector<uint8_t> buffer(from.begin(), from.end());
        const ssize_t count = master < 0 ? ssize_t(buffer.size()) : write(master, buffer.data(), buffer.size());
        if (count > 0) from.erase(from.begin(), from.begin() + count);
        if (from.size() > UNREAD) from.erase(from.begin(), from.end() - UNREAD);
    }

    [[noreturn]] static void fail(const std::string& what) {
        throw std::runtime_error("cannot open " + what + ": " + strerror(errno));
    }
};

// The host's transmitter: a byte as start bit, eight data bits, stop bit.
class Sender {
    const int clocks;
    uint32_t bits = 0;
    int left = 0, phase = 0;

public:
    explicit Sender(int clocks) : clocks(clocks) {}
    bool busy() const { return left > 0; }
    bool level() const { return left == 0 || (bits & 1); }
    void begin(uint8_t byte, bool stop) { bits = (stop ? 0x200u : 0) | byte << 1, left = 10, phase = 0; }
    void clock() {
        if (left && ++phase == clocks) phase = 0, bits >>= 1, left--;
    }
};

// The host's receiver: waits for a start bit and samples in the middle of the bits.
class Receiver {
    const int clocks;
    uint32_t bits = 0;
    int sampled = -1, phase = 0;

public:
    explicit Receiver(int clocks) : clocks(clocks) {}
    bool busy() const { return sampled >= 0; }
    void drop() { sampled = -1; }
    bool clock(bool level, uint8_t& byte) {
        if (sampled < 0) {
            if (level) return false;
            sampled = 0, bits = 0, phase = clocks / 2;
        }
        if (phase--) return false;
        phase = clocks - 1;
        bits |= uint32_t(level) << sampled++;
        if (sampled < 10) return false;
        sampled = -1;
        if ((bits & 1) || !(bits & 0x200)) throw std::runtime_error("the design sent a byte without start or stop bit");
        byte = uint8_t(bits >> 1);
        return true;
    }
};

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
        top->clk = 0;
        top->eval();
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
