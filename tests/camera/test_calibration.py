"""Calibration files of several programs, brought to the size of a picture, and those that are refused."""

import json

import cv2
import numpy as np
import pytest

from hmrcli.camera.calibration_files import read_calibration
from hmrcli.errors import BadInput, HmrError, MissingFile, UsageError

K = np.array([[1500.0, 0, 930], [0, 1510, 560], [0, 0, 1]])
LENS = [-0.2, 0.05, 0.001, -0.002, 0.01]

TOML = """
[int_cam01_img]
name = "cam01"
size = [1920.0, 1080.0]
matrix = [[1500.0, 0.0, 930.0], [0.0, 1510.0, 560.0], [0.0, 0.0, 1.0]]
distortions = [-0.2, 0.05, 0.001, -0.002]
rotation = [0.1, 0.2, 0.3]
translation = [1.0, 2.0, 3.0]
fisheye = false

[metadata]
adjusted = false
error = 0.0
"""
SECOND = TOML.replace("cam01", "cam02").replace("1500.0", "1400.0").partition("[metadata]")[0]


def opencv_file(folder, name="camera.yml", size=True, **more):
    path = folder / name
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    if size:
        storage.write("image_width", 1920)
        storage.write("image_height", 1080)
    storage.write("camera_matrix", K)
    storage.write("distortion_coefficients", np.array([LENS]))
    for key, value in more.items():
        storage.write(key, value)
    storage.release()
    return path


def text_file(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["camera.yml", "camera.yaml", "camera.xml", "camera.json"])
def test_opencv_s_storage(tmp_path, name):
    camera = read_calibration(str(opencv_file(tmp_path, name))).camera(1920, 1080)
    np.testing.assert_array_equal(camera.matrix, K)
    assert camera.distortion == tuple(LENS) and camera.source == "given"


def test_a_camera_of_ros(tmp_path):
    text = (
        "image_width: 1920\nimage_height: 1080\ncamera_name: front\ncamera_matrix:\n  rows: 3\n  cols: 3\n"
        f"  data: {K.ravel().tolist()}\ndistortion_model: plumb_bob\n"
        f"distortion_coefficients:\n  rows: 1\n  cols: 5\n  data: {LENS}\n"
    )
    camera = read_calibration(str(text_file(tmp_path, "ros.yaml", text))).camera(1920, 1080)
    np.testing.assert_array_equal(camera.matrix, K)
    assert camera.distortion == tuple(LENS)


def test_a_pair_of_cameras_in_one_storage(tmp_path):
    path = tmp_path / "stereo.yml"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, focal in (("1", 1000.0), ("2", 1200.0)):
        storage.write(f"M{name}", np.array([[focal, 0, 640], [0, focal, 360], [0, 0, 1]]))
        storage.write(f"D{name}", np.array([[0.1, 0, 0, 0]]) * int(name))
    storage.write("R", np.eye(3))
    storage.release()
    with pytest.raises(UsageError, match=r"several cameras; say which: --calib .*:NAME, of 1, 2"):
        read_calibration(str(path))
    camera = read_calibration(f"{path}:2").camera(1280, 720)
    assert camera.focal_length == 1200 and camera.distortion == (0.2, 0, 0, 0)


@pytest.mark.parametrize(
    ("line", "focal", "distortion"),
    [
        ("1 SIMPLE_PINHOLE 1920 1080 1500 930 560", (1500, 1500), ()),
        ("1 PINHOLE 1920 1080 1500 1510 930 560", (1500, 1510), ()),
        ("1 SIMPLE_RADIAL 1920 1080 1500 930 560 -0.1", (1500, 1500), (-0.1, 0, 0, 0)),
        ("1 RADIAL 1920 1080 1500 930 560 -0.1 0.02", (1500, 1500), (-0.1, 0.02, 0, 0)),
        ("1 OPENCV 1920 1080 1500 1510 930 560 -0.1 0.02 0.001 0.002", (1500, 1510), (-0.1, 0.02, 0.001, 0.002)),
    ],
)  # fmt: skip
def test_colmap_s_cameras(tmp_path, line, focal, distortion):
    path = text_file(tmp_path, "cameras.txt", f"# Camera list\n#   CAMERA_ID, MODEL, …\n{line}\n")
    camera = read_calibration(str(path)).camera(1920, 1080)
    np.testing.assert_array_equal(camera.matrix, [[focal[0], 0, 930], [0, focal[1], 560], [0, 0, 1]])
    assert camera.distortion == distortion


def test_pose2sim_s_cameras_by_name(tmp_path):
    path = text_file(tmp_path, "Calib.toml", TOML + SECOND)
    with pytest.raises(UsageError, match="cam01, cam02"):
        read_calibration(str(path))
    with pytest.raises(UsageError, match="no camera cam03, but cam01, cam02"):
        read_calibration(f"{path}:cam03")
    assert read_calibration(f"{path}:cam02").camera(1920, 1080).focal_length == 1400
    one = read_calibration(str(text_file(tmp_path, "one.toml", TOML))).camera(1920, 1080)
    np.testing.assert_array_equal(one.matrix, K)
    assert one.distortion == (-0.2, 0.05, 0.001, -0.002)


def test_a_picture_of_the_same_proportions_may_have_any_size(tmp_path):
    calibration = read_calibration(str(opencv_file(tmp_path)))
    half = calibration.camera(960, 540)
    np.testing.assert_allclose(half.matrix, K * [[0.5], [0.5], [1]])
    assert half.distortion == tuple(LENS)
    assert calibration.camera(1366, 768).focal_length == pytest.approx(1500 * 1366 / 1920)  # whole pixels
    filled = calibration.camera(1920, 1088)  # up to whole blocks of a codec, below
    assert filled.height == 1088 and (filled.matrix == K).all()
    with pytest.raises(BadInput, match="calibrated at 1920x1080 pixels, the picture has 1920x1200"):
        calibration.camera(1920, 1200)


@pytest.mark.parametrize(("orientation", "matrix"), [
    (6, [[1510, 0, 1080 - 560], [0, 1500, 930], [0, 0, 1]]),
    (8, [[1510, 0, 560], [0, 1500, 1920 - 930], [0, 0, 1]]),
])  # fmt: skip
def test_a_picture_turned_by_exif_has_its_camera_turned(tmp_path, orientation, matrix):
    calibration = read_calibration(str(opencv_file(tmp_path)))
    camera = calibration.camera(1080, 1920, orientation)
    np.testing.assert_allclose(camera.matrix, matrix)
    shown = cv2.projectPoints(np.array([[0.3, -0.2, 1]]), np.zeros(3), np.zeros(3), K, np.array(LENS))[0][
        0, 0
    ]
    turned = (1080 - shown[1], shown[0]) if orientation == 6 else (shown[1], 1920 - shown[0])
    point = (0.2, 0.3, 1.0) if orientation == 6 else (-0.2, -0.3, 1.0)
    np.testing.assert_allclose(camera.project(np.array([point])), [turned])
    with pytest.raises(BadInput, match="cut nor turned"):
        calibration.camera(1080, 1920)


def test_a_calibration_without_a_size_is_that_of_a_picture_whose_middle_suits_it(tmp_path):
    calibration = read_calibration(str(opencv_file(tmp_path, size=False)))
    np.testing.assert_array_equal(calibration.camera(1920, 1080).matrix, K)
    with pytest.raises(BadInput, match="image_width"):
        calibration.camera(3840, 2160)


def colmap(model="PINHOLE", numbers="1500 1510 930 560", size="1920 1080"):
    return f"1 {model} {size} {numbers}"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", colmap("OPENCV_FISHEYE", "1 1 1 1 0 0 0 0"), "OPENCV_FISHEYE, expected one of SIMPLE_PINHOLE"),
        ("a.txt", colmap(numbers="1500 1510 930"), "is no calibration file"),
        ("a.txt", "hello\n", "is no calibration file"),
        ("a.txt", "# nothing\n", "holds no camera"),
        ("a.txt", colmap(numbers="nan 1510 930 560"), "focal lengths above 0"),
        ("a.txt", colmap(numbers="-1500 1510 930 560"), "focal lengths above 0"),
        ("a.txt", colmap(size="0 1080"), "size is not a width and a height"),
        ("a.toml", TOML.replace("fisheye = false", "fisheye = true"), "cam01 is a fisheye"),
        ("a.toml", TOML.replace("[1500.0, 0.0, 930.0]", "[1500.0, 20.0, 930.0]"), "skewed"),
        ("a.toml", TOML.replace("-0.002]", "-0.002" + ", 0.1" * 14 + "]"), "OpenCV's order"),
        ("a.toml", TOML.replace("matrix =", "matrix"), "is no calibration file"),
        ("a.toml", "[metadata]\nerror = 0\n", "holds no camera"),
        ("a.yml", "%YAML:1.0\n---\nK: [1, 2", "is no calibration file"),
        ("a.yml", "%YAML:1.0\n---\nname: front\n", "holds no camera"),
        ("a.json", "\0\1\2\3", "is no calibration file"),
        ("a.xml", "<opencv_storage><K>", "is no calibration file"),
        ("a.png", "PNG", "is no calibration file"),
        ("a.json", '{"a": ' + "[" * 300_000, "nested more than 64"),  # which crashes OpenCV
        ("a.yml", "%YAML:1.0\n---\na:\n" + "  - " * 300_000, "nested more than 64"),
        ("a.xml", '<?xml version="1.0"?><opencv_storage>' + "<a>" * 300_000, "nested more than 64"),
        ("a.toml", "a = " + "[" * 300_000, "is no calibration file"),
        ("a.yml", "", "is no calibration file"),
    ],
    ids=range(22),
)  # fmt: skip
def test_what_is_no_calibration_is_refused_in_one_line(tmp_path, name, text, said):
    with pytest.raises(BadInput, match=said) as refused:
        read_calibration(str(text_file(tmp_path, name, text)))
    assert name in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_are_not_there(tmp_path):
    opencv_file(tmp_path)
    with pytest.raises(MissingFile, match=r"did you mean .*camera\.yml"):
        read_calibration(str(tmp_path / "camera.yaml"))
    with pytest.raises(HmrError):
        read_calibration(str(tmp_path))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ("1500 1500 -4000 560", "lies far from the picture"),
        ("15 15 960 540", "focal length 15.0 does not suit"),
        ("1500 1500 960 540 -2.5 0 0 0", "folds the picture within its border"),
    ],
)
def test_numbers_that_no_camera_has_are_refused(tmp_path, numbers, said):
    model = "OPENCV" if len(numbers.split()) == 8 else "PINHOLE"
    calibration = read_calibration(str(text_file(tmp_path, "cameras.txt", colmap(model, numbers))))
    with pytest.raises(BadInput, match=said):
        calibration.camera(1920, 1080)


def test_json_as_lists(tmp_path):
    text = json.dumps({"camera_matrix": K.tolist(), "dist_coeffs": [LENS], "image_size": [1920, 1080]})
    camera = read_calibration(str(text_file(tmp_path, "k.json", text))).camera(1920, 1080)
    np.testing.assert_array_equal(camera.matrix, K)
    assert camera.distortion == tuple(LENS)
