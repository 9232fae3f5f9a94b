"""Two networks in one: when the first is believed, what that loses, and which two do not go together."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Readout, Source, Spiking, Synapse
from gen.method.cascade import cascade
from gen.method.exit_score import exit_steps, image_scores, stops, temperature
from gen.method.simulate import readout_sums
from gen.netfile import load_network, network_hash, save_network
from gen.task import DETECT, Decoder, Task
from sim.golden.plain import plain_traces

pytestmark = pytest.mark.usefixtures("one_thread")
PIXELS, CLASSES = 8, 4
LOGIT = 2000.0
THREE = Readout("fc", (Synapse("conv", np.ones((3, 8, 1, 1), int)),), np.zeros(3, int), np.full(3, 8))


def network(noise, timesteps=1, name="fc", hidden="conv", offset=128, **options):
    """A layer that fires and a readout; a class is the largest of four sums of pixels, blurred by ``noise``."""
    rng = np.random.default_rng(0)
    parts = np.repeat(np.eye(CLASSES), PIXELS // CLASSES, axis=1)[:, :, None, None]
    first = np.concatenate([parts, -parts]) * 40 + noise * rng.normal(size=(2 * CLASSES, PIXELS, 1, 1))
    second = np.concatenate([np.eye(CLASSES), -np.eye(CLASSES)], axis=1)[:, :, None, None] * 100
    channels = 2 * CLASSES
    layers = (
        Spiking(hidden, (Synapse(INPUT, np.rint(first).astype(int)),), np.zeros(channels, int),
                np.full(channels, 600), np.full(channels, 300), 15, 24, np.full(channels, 8)),
        Readout(name, (Synapse(hidden, second.astype(int)),), np.zeros(CLASSES, int), np.full(CLASSES, 8)),
    )
    source = Source((PIXELS, 1, 1), offset=np.full(PIXELS, offset))
    return IntegerNetwork(source, layers, timesteps, provenance={"logit_scale": LOGIT}, **options)


def images(count, seed=0):
    """Pixels, and the part whose sum is the largest."""
    x = np.random.default_rng(seed).integers(0, 256, (count, PIXELS, 1, 1), dtype=np.uint8)
    return x, x.reshape(count, CLASSES, -1).sum(axis=2).argmax(axis=1)


def decided(both, x):
    """Return the classes, and bool [N], which images the first stage answers."""
    small, large = both.stages
    z, z_large = readout_sums(small, x), readout_sums(large, x)
    stop = stops(image_scores(z, small.exit_rule), small.exit_rule)
    believed = stop < small.timesteps
    first = z[np.arange(len(x)), np.minimum(stop, small.timesteps - 1)].argmax(1)
    second = z_large[np.arange(len(x)), exit_steps(z_large, large.exit_rule) - 1].argmax(1)
    return np.where(believed, first, second), believed


@pytest.mark.parametrize("timesteps", [1, 3])
@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
@pytest.mark.parametrize("known", [True, False])
def test_the_first_stage_answers_what_the_promise_allows(timesteps, kind, known):
    small, large = network(9.0, timesteps), network(0.0)
    (x, labels), (others, truth) = images(1500), images(3000, 1)
    alone = readout_sums(large, others)[:, -1].argmax(1)
    truth = truth if known else alone
    shares = []
    for points in (0.3, 1.0, 4.0, 100.0):
        both = cascade(small, large, x, labels if known else None, exit_loss=points, exit=kind)
        found, believed = decided(both, others)
        assert len(both.stages[0].exit_rule.limits) == timesteps
        assert 100 * ((alone == truth).mean() - (found == truth).mean()) <= points
        shares.append(believed.mean())
    assert shares == sorted(shares) and 0 < shares[0] < shares[2]
    assert shares[-1] > 0.9, "all but those of two classes at par, which no margin stops"


def test_a_large_network_that_is_no_better_is_not_asked():
    x, labels = images(1500)
    both = cascade(network(0.0), network(0.0), x, labels, exit_loss=0.5)
    assert decided(both, x)[1].mean() > 0.95


def test_the_second_stage_stops_by_its_own_rule():
    large = network(0.0, 4)
    rule = ExitRule("confidence", *temperature(LOGIT), (2**16 + 2000,) * 3 + (0,))
    large = replace(large, exit_rule=rule)
    x, labels = images(1200)
    both = cascade(network(9.0), large, x, labels, exit_loss=1.0)
    assert both.stages[1].exit_rule == rule
    traces = [plain_traces(both, image) for image in x[:60]]
    found, believed = decided(both, x[:60])
    assert [len(trace) == 1 for trace in traces] == believed.tolist() and 0 < believed.sum() < 60
    assert [trace[-1].class_ for trace in traces] == found.tolist()


def test_outputs_are_renamed_and_a_layer_of_that_name_makes_way():
    x, labels = images(600)
    both = cascade(network(9.0, name="a", hidden="b"), network(0.0, name="c", hidden="a"), x, labels)
    assert both.outputs == ("a",) and [layer.name for layer in both.stages[1].layers] == ["a.2", "a"]
    assert (readout_sums(both.stages[1], x) == readout_sums(network(0.0), x)).all()


def test_a_name_that_makes_way_does_not_meet_another():
    large = network(0.0, name="c", hidden="a")
    first, last = large.layers
    pool = Pool("a.2", "a", "sum", (1, 1), (1, 1))
    last = replace(last, synapses=(replace(last.synapses[0], source="a.2"),))
    both = cascade(network(9.0, name="a"), replace(large, layers=(first, pool, last)), *images(600))
    names = [layer.name for layer in both.stages[1].layers]
    assert len(set(names)) == 3 and names[-1] == "a"


def test_the_rule_is_that_of_the_small_network_or_asked_for():
    small, (x, labels) = network(9.0), images(600)
    assert cascade(small, network(0.0), x, labels).stages[0].exit_rule.kind == "entropy"
    ruled = replace(small, exit_rule=ExitRule("confidence", 3, 77, (70000,)), provenance={})
    found = cascade(ruled, network(0.0), x, labels).stages[0].exit_rule
    assert (found.kind, found.shift, found.scale) == ("confidence", 3, 77)
    assert cascade(ruled, network(0.0), x, labels, exit="margin").stages[0].exit_rule.kind == "margin"


def test_the_provenance_says_what_was_measured():
    small, large, (x, labels) = network(9.0), network(0.0), images(900)
    both = cascade(small, large, x, labels, exit_loss=1.0)
    fit = both.provenance["cascade"]
    _, believed = decided(both, x)
    assert fit["images"] == 900 and fit["exit_loss"] == 1.0 and fit["measured_against"] == "labels"
    assert fit["believed"] == pytest.approx(believed.mean()) and 0 <= fit["lost_points"] <= 1.0
    assert both.provenance["stages"] == [small.provenance, large.provenance]
    assert cascade(small, large, x).provenance["cascade"]["measured_against"] == "the large network"


@pytest.mark.parametrize("change, options, text", [
    (lambda n: replace(n, source=Source((PIXELS, 1, 1), offset=np.full(PIXELS, 100))), {},
     r"converted with different means: .* Convert both with the same --mean\."),
    (lambda n: replace(n, source=Source((PIXELS, 1, 1), "frames", offset=np.full(PIXELS, 128))), {},
     "look at different inputs, 8x1x1 direct and 8x1x1 frames"),
    (lambda n: replace(n, layers=(n.layers[0], THREE)), {},
     "outputs of the small network have shapes 4x1x1, those of the large one 3x1x1"),
    (lambda n: n, {"exit": "off"}, "needs a rule: entropy, confidence or margin, not 'off'"),
    (lambda n: n, {"exit": "hope"}, "not 'hope'"),
    (lambda n: n, {"exit_loss": -1}, "exit_loss is in accuracy points, 0 to 100, not -1"),
    (lambda n: n, {"exit_loss": "1"}, "exit_loss is in accuracy points"),
])
def test_what_does_not_go_together_is_refused(change, options, text):
    with pytest.raises(InputError, match=text):
        cascade(network(9.0), change(network(0.0)), *images(50), **options)


def test_networks_that_cannot_be_stages_are_refused():
    x, labels = images(400)
    small, large = network(9.0), network(0.0)
    both = cascade(small, large, x, labels)
    with pytest.raises(InputError, match="small network of a cascade must be of one stage, not of 2"):
        cascade(both, large, x, labels)
    with pytest.raises(InputError, match="does not say what a unit of its output is worth"):
        cascade(replace(small, provenance={}), large, x, labels)
    leaky = replace(small.layers[0], neuron="inverse_leaky", burst=1, v_init=np.zeros(2 * CLASSES, int))
    with pytest.raises(InputError, match="inverse-leaky neurons, which know no early exit"):
        cascade(replace(small, layers=(leaky, small.layers[1])), large, x, labels)


@pytest.fixture
def files(tmp_path):
    """Files of a small and a large network, and of images with their classes."""
    for name, made in (("small", network(9.0)), ("large", network(0.0))):
        save_network(made, tmp_path / f"{name}.safetensors")
    x, labels = images(800)
    np.savez(tmp_path / "images.npz", x=x, y=labels)
    return [str(tmp_path / name) for name in ("small.safetensors", "large.safetensors", "images.npz")]


def test_the_verb_writes_the_network_and_says_what_it_does(files, tmp_path, adafire):
    small, large, data = files
    out = tmp_path / "both.safetensors"
    words = "cascade", small, large, "--calibration", data, "--exit-loss", "1.0", "--out", out
    payload = adafire(*words, "--json").json
    both = load_network(out)
    assert payload["network"] == str(out) and payload["fit"] == both.provenance["cascade"]
    assert payload["hash"] == network_hash(both) and len(payload["stages"]) == 2
    assert payload["fit"]["images"] == 800 and payload["fit"]["exit_loss"] == 1.0
    outcome = adafire(*words, "--calibration-images", "300", "--exit", "margin")
    assert outcome.code == 0 and "stage 2" in outcome.out and "believed" in outcome.out
    both = load_network(out)
    assert both.provenance["cascade"]["images"] == 300 and both.stages[0].exit_rule.kind == "margin"
    assert adafire("info", out, "--json").json["hash"] == network_hash(both)
    measured = adafire("evaluate", out, "--data", data, "--json").json
    x, labels = images(800)
    found, believed = decided(both, x)
    assert measured["accuracy"] == (found == labels).mean()
    assert measured["mean_timesteps"] == 2 - believed.mean()


def test_the_verb_refuses_what_does_not_go_together(files, tmp_path, adafire):
    small, _, data = files
    save_network(replace(network(0.0), source=Source((PIXELS, 1, 1))), other := tmp_path / "other.safetensors")
    outcome = adafire("cascade", small, other, "--calibration", data, "--out", tmp_path / "both.safetensors")
    assert outcome.code == 2 and "different means" in outcome.err and not (tmp_path / "both.safetensors").exists()
    outcome = adafire("cascade", small, small, "--calibration", data, "--out", tmp_path)
    assert outcome.code == 2 and "is a folder" in outcome.err


def test_a_task_goes_with_the_outputs_that_are_renamed(tmp_path):
    head = Decoder("mine.py", {"scores": ("classes",)})
    large = network(0, name="classes", stated_task=Task(DETECT, ("thing",), head))
    large = replace(large, provenance={**large.provenance, "output_scales": {"classes": 7.0}})
    both = cascade(network(10), large, images(200)[0])
    assert both.task == Task(DETECT, ("thing",), Decoder("mine.py", {"scores": ("fc",)}))
    assert both.provenance["stages"][1]["output_scales"] == {"fc": 7.0}
    save_network(both, tmp_path / "both.safetensors")
    assert load_network(tmp_path / "both.safetensors").task == both.task
