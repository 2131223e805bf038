"""The zips for reviewers and archives, read back: whole, the same bytes, the numbers of the record."""

import hashlib
import json
import posixpath
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bidsapp.cli.main import main, make_settings
from bidsapp.cli.parser import parse_arguments
from bidsapp.errors import InputError
from bidsapp.names import make_label
from bidsapp.outputs.exports import bundle
from bidsapp.outputs.exports.neurovault import write_neurovault
from bidsapp.outputs.exports.write import write_exports
from bidsapp.outputs.results import read_group_results

KINDS = ("neurovault", "bundle")
LINK = re.compile(r'\shref="([^"#?:]+)[#?"]')


@pytest.fixture(scope="session")
def finished(group_maps, tmp_path_factory):
    """Return an output folder with exports of a model of two groups, its inputs elsewhere; read only."""
    out = tmp_path_factory.mktemp("finished") / "out"
    shutil.copytree(group_maps.parent / "one", out.parent / "data")
    words = ["--estimates", f"{out.parent}/data", "--group-design", "two-sample", "group"]
    words += [
        "--group-contrast",
        "any=group.patient; group.control",
        "--n-permutations",
        "32",
        "--n-cpus",
        "1",
    ]
    words += ["--cluster-forming-p", "0.05", "--alpha", "0.2", "--quiet", "--export", *KINDS]
    words = [f"{out.parent}/data", str(out), "group", *words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["run.py", *words])
        assert main(words) == 0
    return out


@pytest.fixture(scope="session")
def record(finished):
    (path,) = (finished / "logs").glob("*_group.json")
    return json.loads(path.read_text())


def read_zip(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names == sorted(set(names))
        assert not any(name.startswith("/") or ".." in name or "\\" in name for name in names)
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        return {name: archive.read(name) for name in names}


def again(out, place, *kinds):
    """Export once more what is there, from a copy of the study at another place with times of its own."""
    study = shutil.copytree(out.parent, place / "study", copy_function=shutil.copyfile)
    shutil.rmtree(study / "out" / "group" / "export")
    words = [str(study / "data"), str(study / "out"), "group", "--export", *kinds]
    write_exports(make_settings(parse_arguments(words)))
    return study / "out" / "group" / "export"


def broken_links(content):
    return {
        (name, link)
        for name in content
        if name.endswith(".html")
        for link in LINK.findall(content[name].decode())
        if posixpath.normpath(posixpath.join(posixpath.dirname(name), link)) not in content
    }


def test_a_bundle_is_whole(finished, record):
    content = read_zip(finished / "group" / "export" / "bundle.zip")
    sums = dict(reversed(line.split("  ")) for line in content.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    assert {"index.html", "group.html", *record["written"]} <= set(content)
    maps = [name for name in content if name.endswith(".gz")]
    assert all(content[name] == (finished / name).read_bytes() for name in maps)
    assert broken_links(content) == set()
    said = content["README.txt"].decode()
    assert all(f"  {name}\n" in said for name in content if name != "README.txt")
    assert "run.py BIDS_DIR OUTPUT_DIR group --estimates BIDS_DIR --group-design two-sample" in said
    assert f"numpy {record['versions']['numpy']}" in re.sub(r"\s+", " ", said)


def test_a_bundle_names_no_folder_of_the_computer(finished):
    content = read_zip(finished / "group" / "export" / "bundle.zip")
    place = str(finished.parent).encode()
    assert place in (finished / "group.html").read_bytes()
    assert [name for name, data in content.items() if place in data] == []


def test_a_bundle_keeps_below_its_size_and_says_what_it_lacks(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_BYTES", 1_500_000)
    path = again(finished, tmp_path, "bundle") / "bundle.zip"
    content = read_zip(path)
    assert path.stat().st_size < 1_500_000
    missing = {name for name in read_zip(finished / "group" / "export" / "bundle.zip")} - set(content)
    assert missing
    said = content["README.txt"].decode().partition("FILES")[0]
    assert all(f"  {name}\n" in said for name in missing)
    assert broken_links(content) == set()


MAP_TYPES = {"t": "T", "F": "F", "z": "Z", "p": "P", "effect": "U", "variance": "V"}


def test_a_zip_for_neurovault_says_what_the_record_says(finished, record):
    for contrast in record["contrasts"]:
        (path,) = (finished / "group" / "export").glob(f"*-{make_label(contrast['name'])}_neurovault.zip")
        content = read_zip(path)
        images = {image["file"]: image for image in json.loads(content["images.json"])}
        taken = {Path(path).name: key for key, path in contrast["maps"].items() if key in MAP_TYPES}
        assert set(content) == {"README.txt", "collection.json", "images.json", *taken}
        widths = np.multiply(contrast["smoothness"]["fwhm_voxels"], record["voxel_size_mm"])
        for name, key in taken.items():
            assert content[name] == (finished / "group" / name).read_bytes()
            image = images.pop(name)
            assert image["map_type"] == MAP_TYPES[key]
            assert image["number_of_subjects"] == contrast["n_subjects"]
            assert image["statistic_parameters"] == (contrast["dof"] if key == "t" else None)
            assert image["smoothness_fwhm"] == pytest.approx(widths.prod() ** (1 / 3), rel=1e-12)
            assert image["target_template_image"] == record["entities"]["space"]
            assert len(image["name"]) <= 200
        assert images == {}
        assert json.loads(content["collection.json"])["target_resolution"] == record["voxel_size_mm"][0]


def test_neurovault_takes_no_other_space_than_mni(finished, tmp_path, record):
    (tmp_path / "logs").mkdir()
    text = json.dumps(record | {"entities": {"task": "x", "space": "T1w"}})
    (tmp_path / "logs" / "task-x_group.json").write_text(text)
    (model,) = read_group_results(tmp_path)
    with pytest.raises(InputError, match="NeuroVault takes maps in MNI space; .* is in 'T1w'"):
        write_neurovault(model)


def test_exports_of_the_same_results_are_the_same_bytes(finished, tmp_path):
    made = again(finished, tmp_path, *KINDS)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == {
        path.name: path.read_bytes() for path in (finished / "group" / "export").iterdir()
    }


def test_without_results_nothing_is_exported(tmp_path, capfd):
    words = [
        str(tmp_path),
        str(tmp_path / "derivatives" / "out"),
        "group",
        "--reports-only",
        "--export",
        "bundle",
    ]
    assert main(words) == 1
    assert "has no finished results of a group. Run the group level first" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"), [(["bundl"], "did you mean 'bundle'"), (["nothing"], "is not one of")]
)
def test_an_unknown_export_is_refused(tmp_path, capsys, words, said):
    assert main([str(tmp_path), str(tmp_path / "derivatives" / "out"), "group", "--export", *words]) == 64
    assert said in capsys.readouterr().err


def test_at_the_participant_level_it_is_told_that_nothing_is_exported(tiny_dataset, tmp_path, capfd):
    main([str(tiny_dataset), str(tmp_path), "participant", "--list-participants", "--export", "bundle"])
    assert "--export: read by the group level only" in capfd.readouterr().err
