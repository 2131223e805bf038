"""Make gallery.md and its pictures: PYTHONPATH=. python (this file); needs Chromium.

Sixteen subjects with made-up effects in three places, at 4 mm: each design is run as its command says,
and its page is photographed as a browser shows it.
"""

import shlex
import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import gaussian_filter

HERE = Path(__file__).parent
N_SUBJECTS, STEP_MM, WIDTH = 16, 4, 1280
STEM = "{subject}_task-pictures_space-MNI152NLin2009cAsym_contrast-{contrast}_stat-{stat}_statmap.nii.gz"
# Places in mm where the conditions have an effect: how strong for faces, houses and chairs.
PLACES = {(40, -50, -18): (3.0, 0.6, 1.6), (28, -42, -8): (0.4, 2.8, 0.8), (0, -86, 4): (2.0, 2.0, 2.0)}
CONDITIONS = ("faces", "houses", "chairs")
# Title, the contrasts of the subjects that come in, the page to show, flags.
DESIGNS = {
    "one-sample": ("One sample", ["facesMinusHouses", "faces", "noise"], "facesMinusHouses", ["one-sample"]),
    "groups": ("Two groups", ["facesMinusHouses"], "*ControlVsPatient", ["two-sample", "group"]),
    "covariate": ("A covariate", ["facesMinusHouses"], "*Age*", ["covariate", "age"]),
    "repeated": (
        "Repeated measures: an F test of three conditions",
        ["faces", "houses", "chairs"],
        "condition",
        ["repeated-measures", "condition=faces,houses,chairs"],
    ),
    "reml": (
        "Mixed effects, with the variances of the subjects",
        ["facesMinusHouses"],
        "facesMinusHouses",
        ["one-sample", "--group-estimator", "reml"],
    ),
    "nothing": ("Nothing survives", ["noise"], "noise", ["one-sample"]),
}
PAGE = """# Gallery

The first screen of reports of six designs, and an index. `make gallery` makes the data, runs each command and
takes the pictures; the pages need no network and no WebGL.

{parts}"""
PART = """## {title}

```
{command}
```

![{title}: the page of a contrast](gallery/{name}.webp)
"""


def main():
    """Run every design and write the page."""
    from playwright.sync_api import sync_playwright

    (HERE / "gallery").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        everything, maps = Path(folder) / "everything", Path(folder) / "maps"
        write_maps(everything)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        parts = []
        for name, (title, inputs, contrast, flags) in DESIGNS.items():
            choose_maps(everything, maps, inputs)
            out = Path(folder) / name
            words = ["group", "--estimates", "maps", "--n-permutations", "500", "--group-design", *flags]
            run = Path(__file__).parents[1] / "run.py"
            subprocess.run([sys.executable, run, "maps", str(out), *words], cwd=folder, check=True)
            (page,) = out.glob(f"group/*_contrast-{contrast}_report.html")
            photograph(browser, page, HERE / "gallery" / f"{name}.webp")
            command = shlex.join(["run.py", "maps", "out", *words])
            parts.append(PART.format(title=title, command=command, name=name))
        photograph(browser, Path(folder) / "one-sample/group.html", HERE / "gallery/index.webp")
        parts.append(
            "## The index of a model\n\n![All contrasts of a model at a glance](gallery/index.webp)\n"
        )
        browser.close()
    (HERE / "gallery.md").write_text(PAGE.format(parts="\n".join(parts)))


def write_maps(folder, seed=0):
    """Write effects and variances of every subject and condition, of a difference, and of noise."""
    from nilearn.datasets import load_mni152_brain_mask

    brain = load_mni152_brain_mask(resolution=STEP_MM)
    inside, rng = brain.get_fdata() > 0, np.random.default_rng(seed)
    blobs = [spot(brain, place) for place in PLACES]
    folder.mkdir()
    (folder / "dataset_description.json").write_text('{"Name": "Pictures", "BIDSVersion": "1.10.0"}')
    labels = [f"sub-{i + 1:02d}" for i in range(N_SUBJECTS)]
    people = {
        "participant_id": labels,
        "group": ["control", "patient"] * (N_SUBJECTS // 2),
        "age": rng.integers(22, 65, N_SUBJECTS),
    }
    pd.DataFrame(people).to_csv(folder / "participants.tsv", sep="\t", index=False)
    for i, label in enumerate(labels):
        # Patients have less of the first place, and it grows with age.
        share = np.array([1 - 0.6 * (i % 2) + 0.03 * (people["age"][i] - 40), 1.0, 1.0])
        share *= rng.normal(1, 0.15, 3)
        own = smooth_noise(rng, inside)
        maps = {"noise": smooth_noise(rng, inside)}
        for k, condition in enumerate(CONDITIONS):
            effects = [
                s * strengths[k] * b for s, strengths, b in zip(share, PLACES.values(), blobs, strict=True)
            ]
            maps[condition] = np.sum(effects, axis=0) + 0.3 * own + 0.35 * smooth_noise(rng, inside)
        maps["facesMinusHouses"] = maps["faces"] - maps["houses"]
        (folder / label).mkdir()
        for contrast, effect in maps.items():
            variance = 0.1 * np.exp(0.3 * smooth_noise(rng, inside))
            for stat, values in (("effect", effect), ("variance", variance)):
                path = folder / label / STEM.format(subject=label, contrast=contrast, stat=stat)
                image = np.where(inside, values, 0).astype(np.float32)
                nib.save(nib.Nifti1Image(image, brain.affine), path)


def choose_maps(source, target, contrasts):
    """Copy the dataset with the maps of some contrasts alone."""
    others = [
        f"*contrast-{name}_*" for name in (*CONDITIONS, "facesMinusHouses", "noise") if name not in contrasts
    ]
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*others))


def spot(image, place):
    """Return a spot of height 1 at a place in mm."""
    found = np.zeros(image.shape)
    found[tuple(np.rint(np.linalg.inv(image.affine) @ [*place, 1])[:3].astype(int))] = 1
    found = gaussian_filter(found, 7 / STEP_MM)
    return found / found.max()


def smooth_noise(rng, inside):
    """Return smooth noise of variance 1."""
    noise = gaussian_filter(rng.standard_normal(inside.shape), 5 / STEP_MM)
    return noise / noise.std()


def photograph(browser, page, path, height=1500):
    """Write the first screen of a page as a picture."""
    opened = browser.new_page(viewport={"width": WIDTH, "height": height})
    opened.goto(page.as_uri())
    if opened.locator(".linked").count():
        opened.wait_for_function("document.querySelector('.linked').dataset.ready")
        opened.wait_for_timeout(1500)
    picture = Image.open(BytesIO(opened.screenshot()))
    opened.close()
    picture.convert("RGB").save(path, quality=88, method=6)


if __name__ == "__main__":
    main()
