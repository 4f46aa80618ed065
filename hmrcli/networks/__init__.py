"""Networks: images in, bodies out. One file an algorithm; SPIN is HMR's network with another training."""
