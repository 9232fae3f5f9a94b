"""A converted network as NIR: an independent simulation of the graph spikes alike, and it comes back as it was."""

import nir
import numpy as np
import pytest
from torch.nn import functional as F
import torch

from gen.errors import InputError, UnsupportedModel
from gen.intnet import INPUT, IntegerNetwork, Pool, Readout, Source, Spiking, Synapse
from gen.method.quantize import quantize
from gen.model.load import load
from gen.model.nir_export import export_nir, save_nir
from sim.golden_plain import GoldenPlain
