import json

import cv2
import pytest

from hmrcli.training.record import draw_curves


@pytest.mark.parametrize("steps", [1, 200])
@pytest.mark.parametrize("validated", [False, True])
def test_curves_of_terms_that_are_zero_or_rare(steps, validated, tmp_path):
    lines = [
        {"step": step, "epoch": 0, "loss": {"rotmat": 1 / step, "fits": 0.0, "total": 1 / step}}
        for step in range(1, steps + 1)
    ]
    lines[-1]["loss"]["rare"] = 1e-30
    if validated:
        lines.append({"step": steps, "epoch": 0, "validation": {"pa_mpjpe_mm": 80.0, "pve_mm": 120.0}})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw_curves(tmp_path)
    picture = cv2.imread(str(tmp_path / "curves.png"))
    height = 2 if validated else 1
    assert picture.shape[0] / picture.shape[1] == pytest.approx(0.4 * height, abs=0.01)
    assert picture.std() > 5
