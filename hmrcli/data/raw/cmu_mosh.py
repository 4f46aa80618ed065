"""CMU motion capture fitted with SMPL by MoSh: HMR's mosh_data.tar.gz, the real examples of its adversary."""

import numpy as np

from hmrcli.assets.pickles import read_pickle
from hmrcli.data.raw.output import Output
from hmrcli.data.raw.tree import Archive, Product, RawSet, Tree
from hmrcli.files import damage


def make_cmu_mosh(tree: Tree, out: Output) -> None:
    """Writes pose and shape of all frames of all sequences, by subject and sequence."""
    files = tree.need("neutrSMPL_CMU/*/*.pkl")
    poses, shapes = [], []
    for number, path in enumerate(files, 1):
        with damage(f"{path}: expected poses (N, 72) and betas (10) ({{}}); unpack mosh_data.tar.gz again"):
            stored = read_pickle(path)
            pose = np.asarray(stored["poses"] if "poses" in stored else stored["new_poses"], np.float32)
            betas = np.asarray(stored["betas"], np.float32).ravel()[:10].reshape(10)
            poses.append(pose.reshape(-1, 72))
            shapes.append(np.tile(betas, (len(poses[-1]), 1)))
        out.progress("reading sequences", number, len(files))
    out.write_bodies("cmu_mosh.npz", np.concatenate(poses), np.concatenate(shapes))


CMU_MOSH = RawSet(
    name="cmu_mosh",
    title="CMU MoSh",
    page="https://github.com/akanazawa/hmr/blob/master/doc/train.md",
    archives=(Archive("mosh_data.tar.gz", "poses and shapes"),),
    tree=("neutrSMPL_CMU/01/01_01.pkl",),
    products=(Product("cmu_mosh.npz", "poses and shapes", 3_934_267),),
    make=make_cmu_mosh,
    has_images=False,
)
