"""The reset of a board: until some time after its PLL has locked."""

from amaranth.sim import Simulator

from hw.board.clocking import STARTUP_SECONDS, Startup


def test_the_reset_ends_some_time_after_the_pll_has_locked():
    clock_mhz, cycles = 2, round(2e6 * STARTUP_SECONDS)
    startup = Startup(clock_mhz)

    async def bench(ctx):
        for _ in range(2):  # once at power-up, once when the lock is lost
            ctx.set(startup.locked, 0)
            await ctx.tick().repeat(2 * cycles)
            assert ctx.get(startup.reset) == 1
            ctx.set(startup.locked, 1)
            held = 0
            while ctx.get(startup.reset):
                await ctx.tick()
                held += 1
                assert held < 2 * cycles
            assert held >= cycles
            await ctx.tick().repeat(cycles)
            assert ctx.get(startup.reset) == 0

    simulator = Simulator(startup)
    simulator.add_clock(1e-6 / clock_mhz)
    simulator.add_testbench(bench)
    simulator.run()
