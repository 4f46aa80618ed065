"""CMU motion capture fitted with SMPL by MoSh: HMR's mosh_data.tar.gz, the real examples of its adversary."""

import numpy as np

from hmrcli.assets.pickles import read_pickle
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.raw_set import Archive, Product, RawSet
from hmrcli.data.raw.tree import Tree
from hmrcli.files import damage


def make_cmu_mosh(tree: Tree, out: Output) -> None:
    """Writes pose and shape of all frames of all sequences, by subject and sequence."""
    files = tree.need("neutrSMPL_CMU/*/*.pkl")
    sequences = []
    for number, path in enumerate(files, 1):
        with damage(f"{path}: expected poses (N, 72) and betas (10) ({{}}); unpack mosh_data.tar.gz again"):
            stored = read_pickle(path)
            poses = np.asarray(stored["poses"] if "poses" in stored else stored["new_poses"], np.float32)
            betas = np.asarray(stored["betas"], np.float32).ravel()[:10].reshape(10)
            sequences.append((poses.reshape(-1, 72), betas))
        out.progress("reading sequences", number, len(files))
    count = sum(len(pose) for pose, _ in sequences)
    # Four million poses: each sequence is let go once it is copied.
    pose, betas = np.empty((count, 72), np.float32), np.empty((count, 10), np.float32)
    start = 0
    for own, shape in reversed([sequences.pop() for _ in range(len(sequences))]):
        pose[start : start + len(own)], betas[start : start + len(own)] = own, shape
        start += len(own)
    out.write_bodies("cmu_mosh.npz", pose, betas)


CMU_MOSH = RawSet(
    name="cmu_mosh",
    title="CMU MoSh",
    page="https://github.com/akanazawa/hmr/blob/master/doc/train.md",
    licence="amass",
    archives=(Archive("mosh_data.tar.gz", "poses and shapes"),),
    tree=("neutrSMPL_CMU/01/01_01.pkl",),
    products=(Product("cmu_mosh.npz", "poses and shapes", 3_934_267),),
    make=make_cmu_mosh,
    has_images=False,
)
