"""The cocotb test that writes a waveform: one image, all of it or one timestep; `sim.bench.simulate` starts it.

Of a batch it is the run that begins with that image.
"""

from sim.bench.scenarios import scenario


@scenario
async def waved(check, driver):
    """One run; the file is open while the chosen timestep lasts, the last one's until its result is taken."""
    job, dut = check.session.job, driver.dut
    number, step = job.wave_image, job.wave_step
    run = check.session.runs([n for n in range(number, number + job.batch) if n in check.session.images])[0]
    last = step is None or step == check.session.traces(run)[-1].exit_step

    def ends(timestep):
        return int(dut.timestep.value) == timestep and dut.decided.value

    dut.image.value = number
    check.send(driver, run)
    if step not in (None, 1):
        await driver.until(lambda: ends(step - 1), check.limit)
    dut.dump.value = 1
    try:
        await driver.until(lambda: driver.runs or (not last and ends(step)), check.limit)
    finally:
        dut.dump.value = 0
    if not driver.runs:
        await driver.results(1, check.limit)
    check.whole(run, driver.runs[0])
