"""The zips for reviewers and archives, read back: whole, the same bytes, the numbers of the record."""

import gzip
import hashlib
import io
import json
import logging
import posixpath
import re
import shutil
import sys
import warnings
import zipfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bidsapp.cli.main import main, make_settings
from bidsapp.cli.parser import parse_arguments
from bidsapp.errors import InputError
from bidsapp.names import make_label
from bidsapp.outputs.exports import bundle, nidm
from bidsapp.outputs.exports.neurovault import write_neurovault
from bidsapp.outputs.exports.nidm import write_nidm
from bidsapp.outputs.exports.write import write_exports
from bidsapp.outputs.results import Results, read_group_results
from bidsapp.vocabulary.thresholds import THRESHOLDS

KINDS = ("neurovault", "nidm", "bundle")
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


def test_exports_name_no_folder_of_the_computer(finished):
    place = str(finished.parent).encode()
    assert place in (finished / "group.html").read_bytes()
    paths = list((finished / "group" / "export").iterdir())
    assert len(paths) == 9
    for path in paths:
        content = read_zip(path)
        assert [name for name, data in content.items() if place in data] == []


def test_a_bundle_names_what_is_lost(finished, tmp_path, record):
    shutil.copytree(finished.parent, tmp_path / "study")
    lost = record["contrasts"][0]["maps"]["z"]
    (tmp_path / "study" / "out" / lost).unlink()
    content = read_zip(again(tmp_path / "study" / "out", tmp_path / "again", "bundle") / "bundle.zip")
    said = content["README.txt"].decode().partition("FILES")[0]
    assert f"no longer in the output folder:\n  {lost}\n" in said
    assert lost not in content
    assert broken_links(content) == set()


def test_a_lost_map_is_named(finished, record):
    (model,) = read_group_results(finished)
    contrast = model.record.contrasts[0]
    contrast = replace(contrast, maps=contrast.maps | {"z": "group/lost.nii.gz"})
    with pytest.raises(InputError, match=r"lost.nii.gz cannot be exported \(No such file"):
        write_neurovault(Results(finished, replace(model.record, contrasts=(contrast,))))


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
            sidecar = json.loads((finished / "group" / name.replace(".nii.gz", ".json")).read_text())
            assert f"estimation: {sidecar['EstimationMethod']}." in image["description"]
        assert images == {}
        collection = json.loads(content["collection.json"])
        assert collection["target_resolution"] == record["voxel_size_mm"][0]
        assert collection["software_version"] == record["versions"]["taskglm"]


def test_neurovault_takes_no_other_space_than_mni(finished, tmp_path, record):
    (tmp_path / "logs").mkdir()
    text = json.dumps(record | {"entities": {"task": "x", "space": "T1w"}})
    (tmp_path / "logs" / "task-x_group.json").write_text(text)
    (model,) = read_group_results(tmp_path)
    with pytest.raises(InputError, match="NeuroVault takes maps in MNI space; .* is in 'T1w'"):
        write_neurovault(model)


class Pack:
    """A NIDM-Results pack, by the types of its things; values are as Python has them."""

    READ = {"xsd:int": int, "xsd:float": float, "xsd:boolean": "true".__eq__}

    def __init__(self, files):
        self.files = files
        document = json.loads(self.files["nidm.jsonld"])
        self.names = {iri: name for name, iri in document["@context"].items()}
        self.by_id = {thing["@id"]: thing for thing in document["@graph"]}

    def all(self, kind):
        return [thing for thing in self.by_id.values() if f"nidm_{kind}" in thing["@type"]]

    def one(self, kind):
        (thing,) = self.all(kind)
        return thing

    def value(self, thing, term):
        said = thing[term]
        if "@id" in said:
            return self.names.get(said["@id"], said["@id"])
        return self.READ.get(said["@type"], str)(said["@value"])

    def of(self, kind, term):
        return self.value(self.one(kind), term)

    def map(self, kind, index=0):
        data = self.files[self.value(self.all(kind)[index], "nfo:fileName")]
        image = nib.Nifti1Image.from_bytes(gzip.decompress(data))
        return np.asarray(image.dataobj, float)

    def triples(self):
        """Return the statements of the JSON-LD as (subject, predicate, object) of the Turtle."""
        for thing in self.by_id.values():
            yield from ((thing["@id"], "a", self.short(kind)) for kind in thing["@type"])
            for term, values in thing.items():
                for said in values if isinstance(values, list) else [values]:
                    if not term.startswith("@"):
                        yield thing["@id"], self.short(term), self.turtle(said)

    def turtle(self, said):
        if "@id" in said:
            return self.short(self.names.get(said["@id"], said["@id"]))
        return f"{json.dumps(said['@value'], ensure_ascii=False)}^^{said['@type']}"

    @staticmethod
    def short(term):
        return term if ":" in term else f"{term}:"


@pytest.fixture(scope="session")
def packs(finished, record):
    folder = finished / "group" / "export"
    return {
        contrast["name"]: (
            contrast,
            Pack(read_zip(next(folder.glob(f"*-{make_label(contrast['name'])}_results.nidm.zip")))),
        )
        for contrast in record["contrasts"]
    }


def read_map(folder, path):
    return np.asarray(nib.load(folder / path).dataobj, float)


def test_nidm_says_what_the_record_says(packs, finished, record):
    assert {contrast["test"] for contrast, _ in packs.values()} == {"t", "F"}
    assert any(contrast["thresholds"][0]["clusters"] for contrast, _ in packs.values())
    for contrast, pack in packs.values():
        main, test = contrast["thresholds"][0], contrast["test"]
        dof = contrast["dof"] if test == "F" else [1, contrast["dof"]]
        said = {
            ("StatisticMap", "nidm_contrastName"): contrast["name"],
            ("StatisticMap", "nidm_statisticType"): f"obo_{test}statistic",
            ("StatisticMap", "nidm_effectDegreesOfFreedom"): dof[0],
            ("StatisticMap", "nidm_errorDegreesOfFreedom"): dof[1],
            ("SearchSpaceMaskMap", "nidm_searchVolumeInVoxels"): contrast["smoothness"]["n_voxels"],
            ("SearchSpaceMaskMap", "nidm_searchVolumeInResels"): contrast["smoothness"]["resels"][3],
            ("ExcursionSetMap", "nidm_numberOfSupraThresholdClusters"): main["n_clusters"],
            ("NeuroimagingAnalysisSoftware", "nidm_softwareVersion"): record["versions"]["taskglm"],
            ("NIDMResults", "nidm_version"): "1.3.0",
            ("ErrorModel", "nidm_hasErrorDependence"): "nidm_IndependentError"
            if contrast["permutation"]["scheme"] == "sign-flip"
            else "nidm_ExchangeableError",
        }
        assert {key: pack.of(*key) for key in said} == said
        assert json.loads(pack.of("SearchSpaceMaskMap", "nidm_noiseFWHMInVoxels")) == list(
            contrast["smoothness"]["fwhm_voxels"]
        )
        people = next(x for x in pack.by_id.values() if "obo_studygrouppopulation" in x["@type"])
        assert pack.value(people, "nidm_numberOfSubjects") == contrast["n_subjects"]
        assert contrast["permutation"]["words"] in pack.of("Inference", "dc:description")
        assert np.count_nonzero(pack.map("ExcursionSetMap")) == main["n_voxels"]
        file = f"{test}Statistic.nii.gz".upper().replace("STATISTIC.NII.GZ", "Statistic.nii.gz")
        assert pack.files[file] == (finished / contrast["maps"][test]).read_bytes()
        for thing in pack.by_id.values():
            if "crypto:sha512" in thing:
                content = pack.files[pack.value(thing, "prov:atLocation")]
                assert pack.value(thing, "crypto:sha512") == hashlib.sha512(content).hexdigest()


def test_clusters_and_peaks_of_nidm_are_those_of_the_tables(packs, finished):
    for contrast, pack in packs.values():
        main = contrast["thresholds"][0]
        if main["clusters"] is None:
            continue
        clusters = pd.read_csv(finished / main["clusters"], sep="\t")
        told = {pack.value(x, "nidm_clusterLabelId"): x for x in pack.all("SupraThresholdCluster")}
        own = THRESHOLDS[main["method"]].column
        assert len(told) == len(clusters)
        for _, row in clusters.iterrows():
            thing = told[row["cluster_id"]]
            assert pack.value(thing, "nidm_clusterSizeInVoxels") == row["n_voxels"]
            assert pack.value(thing, "nidm_pValueFWER") == row[own]
        peaks = pd.read_csv(finished / main["peaks"], sep="\t")
        told = {pack.value(x, "rdfs:label"): x for x in pack.all("Peak")}
        assert len(told) == len(peaks)
        columns = {"prov:value": main["statistic"], "nidm_equivalentZStatistic": "z", "nidm_pValueFWER": own}
        columns["nidm_pValueUncorrected"] = "p_uncorrected"
        for _, row in peaks.iterrows():
            thing = told[f"Peak {row['cluster_id']:04d}_{row['peak']:02d}"]
            assert {term: pack.value(thing, term) for term in columns} == {
                term: row[column] for term, column in columns.items()
            }
            place = pack.by_id[thing["prov:atLocation"]["@id"]]
            assert json.loads(pack.value(place, "nidm_coordinateVector")) == [row[f"peak_{a}"] for a in "xyz"]
            assert thing["prov:wasDerivedFrom"]["@id"] in pack.by_id


def test_maps_of_nidm_fit_together(packs, finished):
    for contrast, pack in packs.values():
        mask = pack.map("MaskMap") > 0
        matrix = np.loadtxt(io.BytesIO(pack.files["DesignMatrix.csv"]), delimiter=",", ndmin=2)
        table = pd.read_csv(finished / contrast["design"], sep="\t")
        np.testing.assert_array_equal(matrix, table.drop(columns="participant_id"))
        assert json.loads(pack.of("DesignMatrix", "nidm_regressorNames")) == list(table.columns[1:])
        weights = np.atleast_2d(json.loads(pack.value(find_weights(pack), "prov:value")))
        residual = pack.map("ResidualMeanSquaresMap")[mask]
        estimates = np.stack([pack.map("ParameterEstimateMap", k)[mask] for k in range(matrix.shape[1])])
        spread = weights @ np.linalg.pinv(matrix.T @ matrix) @ weights.T
        effects = weights @ estimates
        explained = np.einsum("iv,ij,jv->v", effects, np.linalg.pinv(spread), effects) / len(weights)
        if contrast["test"] == "t":
            effect = read_map(finished, contrast["maps"]["effect"])[mask]
            variance = read_map(finished, contrast["maps"]["variance"])[mask]
            np.testing.assert_allclose(effects[0], effect, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(residual * spread.item(), variance, rtol=1e-4)
            np.testing.assert_allclose(pack.map("ContrastStandardErrorMap")[mask] ** 2, variance, rtol=1e-5)
        else:
            told = pack.map("ContrastExplainedMeanSquareMap")[mask]
            np.testing.assert_allclose(told, explained, rtol=1e-3, atol=1e-5)
        mean = pack.map("GrandMeanMap")[mask]
        assert pack.of("GrandMeanMap", "nidm_maskedMedian") == pytest.approx(np.median(mean), rel=1e-6)


@pytest.fixture(scope="module")
def read_pack():
    """Return the reader of the nidmresults package, which is of 2019."""
    # It asks setuptools for its own version, which no longer tells it.
    asked = SimpleNamespace(get_distribution=lambda name: SimpleNamespace(version=version(name)))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setitem(sys.modules, "pkg_resources", asked)
        from nidmresults.graph import NIDMResults

        yield NIDMResults.load_from_pack


def test_nidmresults_reads_a_pack_back(packs, finished, read_pack):
    contrast, _ = next(pair for pair in packs.values() if pair[0]["thresholds"][0]["clusters"])
    label = make_label(contrast["name"])
    (path,) = (finished / "group" / "export").glob(f"*-{label}_results.nidm.zip")
    said = read_pack(str(path)).get_info()
    main, (told,), (inference,) = contrast["thresholds"][0], said["Contrasts"], said["Inferences"]
    assert told["StatisticMap_contrastName"] == contrast["name"]
    assert told["StatisticMap_errorDegreesOfFreedom"] == contrast["dof"][1]
    assert inference["HeightThreshold_value"] == main["alpha"]
    voxels = inference["SearchSpaceMaskMap_searchVolumeInVoxels"]
    assert voxels == contrast["smoothness"]["n_voxels"]
    clusters = pd.read_csv(finished / main["clusters"], sep="\t")
    sizes = [cluster["SupraThresholdCluster_clusterSizeInVoxels"] for cluster in inference["Clusters"]]
    assert sorted(sizes) == sorted(clusters["n_voxels"])


def find_weights(pack):
    return next(x for x in pack.by_id.values() if "obo_contrastweightmatrix" in x["@type"])


def test_the_documents_of_nidm_say_the_same(packs):
    for _, pack in packs.values():
        blocks = pack.files["nidm.ttl"].decode().split("\n\n")
        told = [
            (subject, predicate, value)
            for block in blocks[1:]
            for subject, lines in [block.strip().removesuffix(" .").split(" ", 1)]
            for line in lines.split(" ;\n    ")
            for predicate, values in [line.split(" ", 1)]
            for value in (values.split(" , ") if predicate == "a" else [values])
        ]
        assert sorted(told) == sorted(pack.triples())
        prefixes = set(re.findall(r"@prefix (\w+):", blocks[0]))
        assert {
            part for row in told for part in re.findall(r"(?<![\w\"])(\w+):(?=\w|$)", " ".join(row[:2]))
        } <= prefixes
        prov_n = pack.files["nidm.provn"].decode()
        assert all(f"({name}, [" in prov_n for name in pack.by_id)


@pytest.mark.parametrize("method", [name for name, row in THRESHOLDS.items() if row.controls != "TDP"])
def test_thresholds_of_nidm_are_those_of_the_record(finished, monkeypatch, method):
    (model,) = read_group_results(finished)
    contrast = next(one for one in model.record.contrasts if one.main.clusters)
    (main,) = (one for one in contrast.thresholds if one.method == method)
    words = THRESHOLDS[method]
    record = replace(model.record, contrasts=(replace(contrast, thresholds=(main,)),))
    made = []
    monkeypatch.setattr(nidm, "write_zip", lambda _path, files: made.append(Pack(files)))
    write_nidm(Results(finished, record))
    (pack,) = made
    kind = {"FWE": "obo_FWERadjustedpvalue", "FDR": "obo_qvalue", "none": "nidm_PValueUncorrected"}
    heights = {tuple(x["@type"])[2]: x for x in pack.all("HeightThreshold")}
    extent = pack.one("ExtentThreshold")
    if words.is_formed:
        assert pack.value(heights["nidm_PValueUncorrected"], "prov:value") == main.forming_p
        assert extent["@type"][2] == kind[words.controls]
        assert pack.value(extent, "prov:value") == main.alpha
        value = main.forming
    else:
        assert pack.value(heights[kind[words.controls]], "prov:value") == main.alpha
        assert pack.value(extent, "nidm_clusterSizeInVoxels") == 0
        value = main.cutoff if main.scale == contrast.test else None
    assert ("obo_statistic" in heights) == (value is not None)
    if value is not None:
        assert pack.value(heights["obo_statistic"], "prov:value") == value
    assert np.count_nonzero(pack.map("ExcursionSetMap")) == main.n_voxels


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test": "z"}, "no words for conjunctions"),
        ({"dof": 3.0}, "degrees of freedom are 1, 3, not 1, 6"),
        ({"dof": None}, "degrees of freedom are 1, differing, not 1, 6"),
        ({"thresholds": ()}, "has no threshold"),
        ({"inputs": ()}, "8 rows are made of 0 inputs"),
    ],
)
def test_what_nidm_has_no_words_for_is_left_out_and_said(finished, caplog, change, said):
    (model,) = read_group_results(finished)
    contrast = replace(next(one for one in model.record.contrasts if one.test == "t"), **change)
    with caplog.at_level("WARNING", "bidsapp"):
        logging.getLogger("bidsapp").addHandler(caplog.handler)
        assert write_nidm(Results(finished, replace(model.record, contrasts=(contrast,)))) == []
        logging.getLogger("bidsapp").removeHandler(caplog.handler)
    assert f"{contrast.name}: no NIDM-Results pack, " in caplog.text
    assert said in caplog.text


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
