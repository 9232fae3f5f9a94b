"""The count of models by others: what converts, what is refused, what is a fault, and a model that hangs."""

import time

import numpy as np
import onnx
import pytest

from benchmarks import others
from benchmarks.others import CONVERTS, FAULT, REFUSED, Case, Judge, files, judge, kind, table
from tests.gen.model.onnx_maker import HEAD, PLAIN, STEM, model, run

X = np.random.default_rng(0).normal(size=(2, 2, 8, 8)).astype("float32")


@pytest.fixture
def judging():
    judging = Judge(limit=20)
    yield judging
    judging.close()


def test_a_model_converts_is_refused_or_is_a_fault():
    plain = model(PLAIN, {**STEM, **HEAD})
    right = judge(Case("files", "right", plain, [(X, run(plain, X))]))
    assert right.outcome == CONVERTS and right.error < 1e-6
    wrong = judge(Case("files", "wrong", plain, [(X, [run(plain, X)[0] + 1])]))
    assert wrong.outcome == FAULT and "computes something else" in wrong.reasons[0]
    curves = [("Elu", "x", "e", {}), ("Gelu", "x", "y", {})]
    refused = judge(Case("files", "no", model(curves, {}, 20, outputs=("e", "y"))))
    assert refused.outcome == REFUSED and [kind(reason)[:6] for reason in refused.reasons] == ["(Elu):", "(Gelu)"]
    text = table([right, wrong, refused])
    assert "files                      3        1      1        1       1" in text and "FAULT files wrong" in text


def test_what_hangs_crashes_or_raises_is_a_fault_and_the_next_model_is_judged(monkeypatch, judging):
    def load(what):
        if what == "hangs":
            time.sleep(60)
        raise {"ends": SystemExit(3), "raises": KeyError("odd")}[what]

    plain = model(PLAIN, {**STEM, **HEAD})
    assert judging(Case("", "plain", plain)).outcome == CONVERTS
    judging.close()
    real, judging.limit = others.load, 5
    monkeypatch.setattr(others, "load", lambda what: load(what) if isinstance(what, str) else real(what))
    found = [judging(Case("", name, name)) for name in ("raises", "ends", "hangs")] + [judging(Case("", "", plain))]
    assert [one.outcome for one in found] == [FAULT, FAULT, FAULT, CONVERTS]
    assert "KeyError: 'odd'" in found[0].reasons[0] and found[2].reasons == ["takes longer than 5 s"]


def test_a_folder_of_models(tmp_path):
    onnx.save(model(PLAIN, {**STEM, **HEAD}), tmp_path / "a.onnx")
    (tmp_path / "b.nir").write_bytes(b"not a graph")
    (tmp_path / "notes.txt").write_text("no model")
    found = [judge(case) for case in files(tmp_path)]
    assert [(one.name, one.outcome) for one in found] == [("a.onnx", CONVERTS), ("b.nir", REFUSED)]
    assert found[0].error < 1e-6


@pytest.mark.slow
def test_further_inputs_of_the_suite_are_weights():
    names = {"test_add", "test_conv_with_strides_padding", "test_prelu_broadcast", "test_relu", "test_lstm_defaults"}
    outcomes = {case.name: judge(case).outcome for case in others.suite() if case.name in names}
    assert outcomes == {"test_add": REFUSED, "test_conv_with_strides_padding": CONVERTS, "test_relu": CONVERTS,
                        "test_prelu_broadcast": REFUSED, "test_lstm_defaults": REFUSED}
