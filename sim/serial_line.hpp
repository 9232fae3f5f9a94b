// The serial line of the simulated board: a pseudo-terminal, and the bits of a UART at its two ends.
#pragma once
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

using Bytes = std::deque<uint8_t>;

constexpr size_t AHEAD = 256;       // bytes taken from the terminal before they are on the wire
constexpr size_t UNREAD = 1 << 16;  // bytes kept for a terminal that is full

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
        if ((bits & 1) || !(bits & 0x200))
            throw std::runtime_error("the design sent a byte without start or stop bit");
        byte = uint8_t(bits >> 1);
        return true;
    }
};
