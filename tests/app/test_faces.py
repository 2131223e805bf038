"""The 3 x 3 design of the face study, from --estimates to the maps, with both error terms."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from makers.faces import make_faces
from nilearn.glm.second_level import SecondLevelModel

from bidsapp.cli import main as cli

pytestmark = pytest.mark.slow
N_SUBJECTS = 16
# nilearn computes in float32 what is float32 on disk.
NILEARN = 1e-5
CONTRASTS = {
    "facesGtScrambled": "(FF + UF) / 2 - SF",
    "famousGtUnfamiliar": "FF - UF",
    "stimulusByImmediate": "(IniFF - ImmFF) - (IniSF - ImmSF); (IniUF - ImmUF) - (IniSF - ImmSF)",
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Return a folder with the maps of 16 subjects at 4 mm."""
    folder = tmp_path_factory.mktemp("faces") / "maps"
    make_faces(folder, n_subjects=N_SUBJECTS)
    return folder


def run(faces, output, *more):
    arguments = [faces, output, "group", "--estimates", faces, "--n-permutations", "0", "--tail", "positive"]
    design = ["--group-design", "repeated-measures", "stimulus=FF,UF,SF", "presentation=Ini,Imm,Del"]
    for name, expression in CONTRASTS.items():
        design += [f"--group-contrast={name}={expression}"]
    assert cli.main([str(word) for word in [*arguments, *design, *more]]) == 0
    return output


@pytest.fixture(scope="module")
def pooled(faces, tmp_path_factory):
    return run(faces, tmp_path_factory.mktemp("pooled") / "out", "--error-term", "pooled")


@pytest.fixture(scope="module")
def partitioned(faces, tmp_path_factory):
    return run(faces, tmp_path_factory.mktemp("partitioned") / "out")


def read(output, contrast, stat):
    (path,) = (output / "group").glob(f"*_contrast-{contrast}_stat-{stat}_statmap.nii.gz")
    return nib.load(path).get_fdata()


def cell_maps(faces):
    names = [p + s for s in ("FF", "UF", "SF") for p in ("Ini", "Imm", "Del")]
    stem = "sub-{0:02d}/func/sub-{0:02d}_task-faces_*_contrast-{1}_stat-effect_statmap.nii.gz"
    return names, [
        next(faces.glob(stem.format(subject, name))) for subject in range(1, N_SUBJECTS + 1) for name in names
    ]


@pytest.fixture(scope="module")
def nilearn_model(faces):
    """Return nilearn's fit of one column a cell and one a subject, and the weights of the contrasts.

    Without the last subject's column, which the others make up: nilearn counts columns, not rank, in the
    degrees of freedom, and its t would be 0.4 % too small.
    """
    names, paths = cell_maps(faces)
    subjects = [f"s{subject}" for subject in range(N_SUBJECTS)]
    cells, people = np.tile(np.eye(9), (N_SUBJECTS, 1)), np.repeat(np.eye(N_SUBJECTS), 9, axis=0)
    matrix = np.column_stack([cells, people[:, :-1]])
    design = pd.DataFrame(matrix, columns=[*names, *subjects[:-1]])
    mask = nib.Nifti1Image(
        np.isfinite(nib.load(paths[0]).get_fdata()).astype(np.uint8), nib.load(paths[0]).affine
    )
    images = [nib.Nifti1Image(np.nan_to_num(nib.load(path).get_fdata()), mask.affine) for path in paths]
    model = SecondLevelModel(mask_img=mask, smoothing_fwhm=None, minimize_memory=False)
    model.fit(images, design_matrix=design)
    stimulus = {"FF": slice(0, 3), "UF": slice(3, 6), "SF": slice(6, 9)}
    weights = np.zeros((4, design.shape[1]))
    weights[0, stimulus["FF"]] = weights[0, stimulus["UF"]] = 1 / 6
    weights[0, stimulus["SF"]] = -1 / 3
    weights[1, stimulus["FF"]], weights[1, stimulus["UF"]] = 1 / 3, -1 / 3
    for row, first in ((2, 0), (3, 3)):
        weights[row, [first, first + 1, 6, 7]] = [1, -1, -1, 1]
    return model, dict(zip(CONTRASTS, (weights[0], weights[1], weights[2:]), strict=True))


@pytest.mark.parametrize("contrast", ["facesGtScrambled", "famousGtUnfamiliar"])
@pytest.mark.filterwarnings("ignore")
def test_pooled_effect_equals_nilearn(pooled, nilearn_model, contrast):
    model, weights = nilearn_model
    expected = model.compute_contrast(weights[contrast], output_type="effect_size").get_fdata()
    found = read(pooled, contrast, "effect")
    inside = np.isfinite(found)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=NILEARN, atol=NILEARN)


@pytest.mark.parametrize("contrast", ["facesGtScrambled", "famousGtUnfamiliar"])
def test_pooled_t_has_the_error_of_its_own_contrast(pooled, partitioned, contrast):
    found, expected = read(pooled, contrast, "t"), read(partitioned, contrast, "t")
    np.testing.assert_allclose(found, expected, rtol=NILEARN)


def test_pooled_design_has_a_column_a_cell_and_a_column_a_subject(pooled):
    (path,) = (pooled / "group").glob("*_design.tsv")
    table = pd.read_csv(path, sep="\t")
    matrix = table.drop(columns="participant_id")
    assert matrix.shape == (9 * N_SUBJECTS, 9 + N_SUBJECTS)
    assert (matrix.filter(like="contrast.").sum() == N_SUBJECTS).all()
    assert (matrix.filter(like="subject.").sum() == 9).all()


def test_weights_of_faces_are_those_of_the_cells(pooled):
    (path,) = (pooled / "group").glob("*_contrasts.tsv")
    table = pd.read_csv(path, sep="\t").set_index("contrast")
    row = table.loc["facesGtScrambled"].filter(like="contrast.").astype(float)
    expected = {"FF": 1 / 6, "UF": 1 / 6, "SF": -1 / 3}
    assert {name: weight for name, weight in row.items()} == pytest.approx(
        {name: expected[name[-2:]] for name in row.index}
    )


def test_partitioned_t_is_the_one_sample_t_of_each_subjects_contrast(partitioned, faces):
    names, paths = cell_maps(faces)
    maps = np.array([nib.load(path).get_fdata() for path in paths]).reshape(
        N_SUBJECTS, 9, *nib.load(paths[0]).shape
    )
    scores = maps[:, :6].mean(axis=1) - maps[:, 6:].mean(axis=1)
    expected = scores.mean(axis=0) / scores.std(axis=0, ddof=1) * np.sqrt(N_SUBJECTS)
    found = read(partitioned, "facesGtScrambled", "t")
    inside = np.isfinite(found)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=NILEARN, atol=NILEARN)


def test_greenhouse_geisser_is_the_p_of_the_pooled_f(pooled):
    p, corrected, epsilon = (read(pooled, "stimulusByImmediate", stat) for stat in ("p", "pGG", "epsilonGG"))
    inside = np.isfinite(epsilon)
    assert inside.any()
    assert ((epsilon[inside] >= 0.5 - 1e-6) & (epsilon[inside] <= 1 + 1e-6)).all()
    np.testing.assert_array_equal(p, corrected)


def test_own_errors_are_said_in_the_record(pooled, partitioned):
    texts = [next((folder / "logs").glob("*_group.json")).read_text() for folder in (pooled, partitioned)]
    assert "each contrast has an error of its own" in texts[0]
    assert "each contrast has an error of its own" not in texts[1]


@pytest.mark.parametrize(
    ("contrast", "position"),
    [
        ("facesGtScrambled", (42, -52, -20)),
        ("facesGtScrambled", (-40, -52, -20)),
        ("facesGtScrambled", (40, -78, -10)),
        ("famousGtUnfamiliar", (0, 52, -8)),
    ],
)
@pytest.mark.parametrize("error_term", ["pooled", "partitioned"])
def test_planted_regions_are_found(request, error_term, contrast, position):
    """A voxel within 8 mm of the planted centre survives the false discovery rate of 5 % over the brain."""
    output = request.getfixturevalue(error_term)
    (path,) = (output / "group").glob(f"*_contrast-{contrast}_stat-q_desc-fdrBH_statmap.nii.gz")
    image = nib.load(path)
    q = image.get_fdata()
    inside = np.isfinite(q)
    places = nib.affines.apply_affine(image.affine, np.argwhere(inside))
    near = np.linalg.norm(places - position, axis=1) < 8
    assert q[inside][near].min() < 0.05


def test_maps_of_a_subject_are_told_apart_and_subjects_counted_once(pooled):
    record = json.loads(next(pooled.glob("logs/*_group.json")).read_text())
    assert {contrast["n_subjects"] for contrast in record["contrasts"]} == {N_SUBJECTS}
    table = pd.read_csv(next(pooled.glob("group/*facesGtScrambled*_effects.tsv")), sep="\t")
    assert {"sub-01 IniFF", "sub-16 DelSF"} <= set(table.columns)
    assert len(table.columns) == 5 + 9 * N_SUBJECTS
