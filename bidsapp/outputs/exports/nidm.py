"""A NIDM-Results 1.3 pack a contrast: its maps, and a document of how they came about."""

import json
import logging
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from bidsapp.errors import InputError
from bidsapp.names import export_path
from bidsapp.outputs.exports.archive import digest, read_bytes, write_zip
from bidsapp.outputs.exports.prov import (
    Iri,
    Location,
    Term,
    Thing,
    Time,
    Value,
    write_json_ld,
    write_prov_n,
    write_turtle,
)
from bidsapp.outputs.images import pack_volume
from bidsapp.outputs.results import GroupResults
from bidsapp.outputs.saved.common import rows_of
from bidsapp.outputs.saved.group import GroupContrastRecord, ThresholdRecord
from bidsapp.records.arrays import Matrix, Numbers
from bidsapp.vocabulary.estimators import ESTIMATORS
from bidsapp.vocabulary.thresholds import MIN_DISTANCE_MM, THRESHOLDS

logger = logging.getLogger(__name__)
# Of a thing: term -> its value, or values; None is not known.
Said: TypeAlias = dict[str, Value | list[Value] | None]

SYSTEMS = {
    "MNI152NLin2009cAsym": "nidm_IcbmMni152NonLinear2009cAsymmetricCoordinateSystem",
    "MNI152NLin2009cSym": "nidm_IcbmMni152NonLinear2009cSymmetricCoordinateSystem",
    "MNI152NLin6Asym": "nidm_IcbmMni152NonLinear6thGenerationCoordinateSystem",
}
TAILS = {"two": "nidm_TwoTailedTest", "positive": "nidm_OneTailedTest", "negative": "nidm_OneTailedTest"}
# What a threshold controls -> the type of a threshold on p, and what p of a peak or cluster is called.
P_TYPES = {
    "FWE": ("obo_FWERadjustedpvalue", "nidm_pValueFWER"),
    "FDR": ("obo_qvalue", "nidm_qValueFDR"),
    "none": ("nidm_PValueUncorrected", "nidm_pValueUncorrected"),
}


class _CannotTellError(Exception):
    """NIDM-Results has no words for a contrast."""


def write_nidm(model: GroupResults) -> list[Path]:
    """Write the packs of a group model; return their paths.

    A contrast that NIDM-Results has no words for is left out, with a warning.

    Raises
    ------
    InputError
        A map cannot be read.
    """
    paths = []
    for contrast in model.record.contrasts:
        try:
            files = _Pack(model, contrast).make()
        except _CannotTellError as reason:
            logger.warning("%s: no NIDM-Results pack, %s", contrast.name, reason)
            continue
        where = {"node": model.record.node, "contrast": contrast.name, "extension": ".nidm.zip"}
        path = model.folder / export_path(model.record.entities, "results", **where)
        write_zip(path, files)
        paths.append(path)
    return paths


class _Pack:
    """Makes the pack of a contrast: ``files`` are the files, ``things`` what is told of them."""

    def __init__(self, model: GroupResults, contrast: GroupContrastRecord) -> None:
        self._model, self._record, self._contrast = model, model.record, contrast
        self._files: dict[str, bytes] = {}
        self._things: list[Thing] = []
        self._columns, self._matrix, self._weights = self._read_design()
        self._main = self._find_main()
        statistic = model.read_map(contrast.maps[contrast.test])
        self._statistic, self._affine = statistic.values, statistic.affine
        self._mask = np.isfinite(statistic.values)

    def make(self) -> dict[str, bytes]:
        """Return the files of the pack."""
        self._tell_software()
        mean, estimates, residual = self._fit()
        self._tell_model(mean, estimates, residual)
        self._tell_contrast(len(estimates), residual)
        self._tell_inference(self._main)
        texts = {"nidm.ttl": write_turtle, "nidm.jsonld": write_json_ld, "nidm.provn": write_prov_n}
        return self._files | {name: write(self._things).encode() for name, write in texts.items()}

    def _read_design(self) -> tuple[list[str], Matrix, Matrix]:
        """Return the columns, the design matrix and the weights over its columns, a row a row of the test."""
        contrast = self._contrast
        if contrast.test not in ("t", "F"):
            raise _CannotTellError("which has no words for conjunctions.")
        if self._record.choices.group.group_estimator != "ols":
            words = ESTIMATORS[self._record.choices.group.group_estimator].words
            raise _CannotTellError(f"which has words for least squares alone, not for {words}.")
        table = self._model.read_table(contrast.design or self._record.design)
        columns = [name for name in table.columns if name != "participant_id"]
        matrix = table[columns].to_numpy(float)
        weights = np.array([[row.get(name, 0.0) for name in columns] for row in rows_of(contrast.weights)])
        free = len(matrix) - np.linalg.matrix_rank(matrix)
        dof = contrast.dof if isinstance(contrast.dof, list) else [1, contrast.dof]
        if dof != [len(weights), free]:
            said = ", ".join("differing" if one is None else f"{one:g}" for one in dof)
            raise _CannotTellError(
                f"which has words for one variance of all voxels' inputs: degrees of freedom are {said}, not "
                f"{len(weights)}, {free}."
            )
        return columns, matrix, weights

    def _find_main(self) -> ThresholdRecord:
        main = self._contrast.main
        if main is None or main.reason:
            raise _CannotTellError("since it has no threshold.")
        if THRESHOLDS[main.method].controls not in P_TYPES:
            raise _CannotTellError(f"which has no words for its main threshold: {main.title}.")
        return main

    def _name(self, role: str) -> Iri:
        """Return the name of a thing: the same for the same results, and no other's."""
        where = f"{self._record.fingerprint}/{self._contrast.name}/{role}"
        return Iri(uuid.uuid5(uuid.NAMESPACE_OID, where))

    def _tell(self, role: str, kind: str, types: Sequence[str], said: Said) -> None:
        """Add a thing; terms without a value are left out."""
        known = {term: value for term, value in said.items() if value is not None}
        self._things.append(Thing(self._name(role), kind, types, known))

    def _tell_map(
        self,
        role: str,
        kind: str,
        file: str,
        content: np.ndarray | str,
        said: Said,
    ) -> None:
        """Add a map: values, or the path of a map of the results, which is taken as it is."""
        if isinstance(content, str):
            data = read_bytes(self._model.folder, content)
        else:
            data = pack_volume(content, self._affine, space=self._record.entities.get("space"))
        self._files[file] = data
        about: Said = {
            "prov:atLocation": Location(file),
            "nfo:fileName": file,
            "dct:format": "image/nifti",
            "crypto:sha512": digest(data, "sha512"),
            "nidm_inCoordinateSpace": self._name("space"),
        }
        self._tell(role, "Entity", [kind], said | about)

    def _tell_software(self) -> None:
        record, version = self._record, self._record.versions["taskglm"]
        software = {"rdfs:label": "TaskGLM", "nidm_softwareVersion": version}
        self._tell(
            "bundle",
            "Entity",
            ["prov:Bundle", "nidm_NIDMResults"],
            {
                "rdfs:label": "NIDM-Results",
                "nidm_version": "1.3.0",
                "prov:wasGeneratedBy": self._name("export"),
                "prov:qualifiedGeneration": self._name("generation"),
            },
        )
        self._tell(
            "generation",
            "Entity",
            ["prov:Generation"],
            {"prov:activity": self._name("export"), "prov:atTime": Time(record.finished)},
        )
        self._tell(
            "export",
            "Activity",
            ["nidm_NIDMResultsExport"],
            {"rdfs:label": "NIDM-Results export", "prov:wasAssociatedWith": self._name("exporter")},
        )
        self._tell("exporter", "Agent", ["prov:SoftwareAgent", "nidm_NIDMResultsExporter"], {**software})
        types = ["prov:SoftwareAgent", "nidm_NeuroimagingAnalysisSoftware"]
        self._tell("software", "Agent", types, {**software})

    def _fit(self) -> tuple[Numbers, list[Numbers], Numbers]:
        """Return what NIDM-Results asks for and the results do not keep: least squares of the inputs.

        Returns
        -------
        mean, estimates, residual
            Maps: the mean of the inputs, the estimate of each column, the mean square of the residuals.
        """
        contrast, matrix = self._contrast, self._matrix
        unscaled = np.linalg.pinv(matrix.T @ matrix)
        if matrix.shape[1] == 1 and contrast.test == "t":
            # The rows may be combinations of inputs; the contrast says all.
            estimate = self._read("effect") / self._weights[0, 0]
            residual = self._read("variance") / (self._weights @ unscaled @ self._weights.T).item()
            return estimate * matrix.mean(), [estimate], residual
        inputs = self._read_inputs()
        if len(inputs) != len(matrix):
            raise _CannotTellError(f"its {len(matrix)} rows are made of {len(inputs)} inputs.")
        flat = np.stack([values[self._mask] for values in inputs]).astype(float)
        estimates = np.linalg.pinv(matrix) @ flat
        squares = np.square(flat - matrix @ estimates).sum(axis=0)
        residual = squares / (len(matrix) - np.linalg.matrix_rank(matrix))
        return self._fill(flat.mean(axis=0)), list(map(self._fill, estimates)), self._fill(residual)

    def _read(self, quantity: str) -> Numbers:
        return self._model.read_map(self._contrast.maps[quantity]).values

    def _read_inputs(self) -> list[Numbers]:
        contrast = self._contrast
        try:
            if contrast.tested:
                return list(np.moveaxis(self._model.read_map(contrast.tested).values, -1, 0))
            return [self._model.read_map(entry.effect).values for entry in contrast.inputs]
        except InputError as error:
            raise _CannotTellError(f"which needs the maps of the participants: {error}") from error

    def _fill(self, values: Numbers) -> Numbers:
        """Return the values of the voxels as a map, NaN elsewhere."""
        volume = np.full(self._mask.shape, np.nan, np.float32)
        volume[self._mask] = values
        return volume

    def _tell_model(self, mean: Numbers, estimates: Sequence[Numbers], residual: Numbers) -> None:
        record, name = self._record, self._name
        self._tell_space()
        self._tell_data()
        self._tell_errors()
        self._tell(
            "fit",
            "Activity",
            ["nidm_ModelParameterEstimation"],
            {
                "rdfs:label": "Model Parameters Estimation",
                "dc:description": record.description,
                "nidm_withEstimationMethod": Term("obo_ordinaryleastsquaresestimation"),
                "prov:used": [name("design"), name("data"), name("errors")],
                "prov:wasAssociatedWith": name("software"),
            },
        )
        made: Said = {"prov:wasGeneratedBy": name("fit")}
        mask = self._mask.astype(np.uint8)
        about = made | {"rdfs:label": "Mask", "nidm_isUserDefined": record.choices.group.mask is not None}
        self._tell_map("mask", "nidm_MaskMap", "Mask.nii.gz", mask, about)
        median = float(np.median(mean[self._mask]))
        about = made | {"rdfs:label": "Grand Mean Map", "nidm_maskedMedian": median}
        self._tell_map("mean", "nidm_GrandMeanMap", "GrandMean.nii.gz", mean, about)
        about = made | {"rdfs:label": "Residual Mean Squares Map"}
        kind, file = "nidm_ResidualMeanSquaresMap", "ResidualMeanSquares.nii.gz"
        self._tell_map("residual", kind, file, residual, about)
        for number, (column, values) in enumerate(zip(self._columns, estimates, strict=True), 1):
            file = f"ParameterEstimate_{number:04d}.nii.gz"
            about = made | {"rdfs:label": f"Parameter Estimate Map {number}: {column}"}
            self._tell_map(f"estimate {number}", "nidm_ParameterEstimateMap", file, values, about)

    def _tell_data(self) -> None:
        """Tell the design matrix and whose data it is of."""
        name = self._name
        frame = pd.DataFrame(self._matrix, columns=self._columns)
        self._files["DesignMatrix.csv"] = frame.to_csv(index=False, header=False).encode()
        self._tell(
            "design",
            "Entity",
            ["nidm_DesignMatrix"],
            {
                "rdfs:label": "Design Matrix",
                "prov:atLocation": Location("DesignMatrix.csv"),
                "nfo:fileName": "DesignMatrix.csv",
                "dct:format": "text/csv",
                "nidm_regressorNames": json.dumps(self._columns),
            },
        )
        scanner = ["nlx_Magneticresonanceimagingscanner", "nlx_Imaginginstrument"]
        self._tell("scanner", "Agent", scanner, {"rdfs:label": "MRI Scanner"})
        self._tell(
            "people",
            "Agent",
            ["obo_studygrouppopulation"],
            {
                "rdfs:label": "Participants",
                "nidm_groupName": "Participants",
                "nidm_numberOfSubjects": self._contrast.n_subjects,
            },
        )
        self._tell(
            "data",
            "Entity",
            ["nidm_Data", "prov:Collection"],
            {
                "rdfs:label": "Data",
                "nidm_grandMeanScaling": False,
                "nidm_hasMRIProtocol": Term("nlx_FunctionalMRIprotocol"),
                "prov:wasAttributedTo": [name("scanner"), name("people")],
            },
        )

    def _tell_space(self) -> None:
        space, sizes = self._record.entities.get("space", ""), self._record.voxel_size_mm
        other = "nidm_MNICoordinateSystem" if space.startswith("MNI") else "nidm_CustomCoordinateSystem"
        self._tell(
            "space",
            "Entity",
            ["nidm_CoordinateSpace"],
            {
                "rdfs:label": f"Coordinate space {space}".strip(),
                "nidm_voxelToWorldMapping": json.dumps(self._affine.tolist()),
                "nidm_voxelUnits": json.dumps(["mm", "mm", "mm"]),
                "nidm_voxelSize": json.dumps(list(sizes)),
                "nidm_inWorldCoordinateSystem": Term(SYSTEMS.get(space, other)),
                "nidm_numberOfDimensions": 3,
                "nidm_dimensionsInVoxels": json.dumps(list(self._mask.shape)),
            },
        )

    def _tell_errors(self) -> None:
        """Tell what the main threshold supposes of the errors."""
        shuffled = self._contrast.permutation if THRESHOLDS[self._main.method].needs == "shuffles" else None
        is_symmetric = shuffled is not None and shuffled.scheme == "sign-flip"
        distribution, dependence = "obo_normaldistribution", "nidm_IndependentError"
        if shuffled is not None:
            distribution = f"nidm_NonParametric{'Symmetric' if is_symmetric else ''}Distribution"
            dependence = "nidm_IndependentError" if is_symmetric else "nidm_ExchangeableError"
        self._tell(
            "errors",
            "Entity",
            ["nidm_ErrorModel"],
            {
                "nidm_hasErrorDistribution": Term(distribution),
                "nidm_errorVarianceHomogeneous": True,
                "nidm_varianceMapWiseDependence": Term("nidm_IndependentParameter"),
                "nidm_hasErrorDependence": Term(dependence),
            },
        )

    def _tell_contrast(self, n_columns: int, residual: Numbers) -> None:
        contrast, name, title = self._contrast, self._name, self._contrast.name
        kind = Term(f"obo_{contrast.test}statistic")
        weights = self._weights[0] if contrast.test == "t" else self._weights
        self._tell(
            "weights",
            "Entity",
            ["obo_contrastweightmatrix"],
            {
                "rdfs:label": f"Contrast Weights: {title}",
                "prov:value": json.dumps(weights.tolist()),
                "nidm_statisticType": kind,
                "nidm_contrastName": title,
            },
        )
        columns = [name(f"estimate {number}") for number in range(1, n_columns + 1)]
        self._tell(
            "estimation",
            "Activity",
            ["nidm_ContrastEstimation"],
            {
                "rdfs:label": f"Contrast estimation: {title}",
                "dc:description": contrast.estimand.text if contrast.estimand else None,
                "prov:used": [name("residual"), name("mask"), name("weights"), name("design"), *columns],
                "prov:wasAssociatedWith": name("software"),
            },
        )
        made: Said = {"prov:wasGeneratedBy": name("estimation")}
        dof = contrast.dof if isinstance(contrast.dof, list) else [1, contrast.dof]
        numerator, denominator = (None if one is None else float(one) for one in dof)
        about = made | {
            "rdfs:label": f"{contrast.test.upper()}-Statistic Map: {title}",
            "nidm_contrastName": title,
            "nidm_statisticType": kind,
            "nidm_effectDegreesOfFreedom": numerator,
            "nidm_errorDegreesOfFreedom": denominator,
        }
        file = f"{contrast.test.upper()}Statistic.nii.gz"
        self._tell_map("statistic", "nidm_StatisticMap", file, contrast.maps[contrast.test], about)
        if contrast.test == "t":
            about = made | {"rdfs:label": f"Contrast Map: {title}", "nidm_contrastName": title}
            self._tell_map("contrast", "nidm_ContrastMap", "Contrast.nii.gz", contrast.maps["effect"], about)
            about = made | {"rdfs:label": "Contrast Standard Error Map"}
            error, file = np.sqrt(self._read("variance")), "ContrastStandardError.nii.gz"
            self._tell_map("error", "nidm_ContrastStandardErrorMap", file, error, about)
        else:
            about = made | {"rdfs:label": "Contrast Explained Mean Square Map"}
            file = "ContrastExplainedMeanSquareMap.nii.gz"
            kind = Term("nidm_ContrastExplainedMeanSquareMap")
            self._tell_map("explained", kind, file, self._statistic * residual, about)

    def _tell_inference(self, main: ThresholdRecord) -> None:
        contrast, name, words = self._contrast, self._name, THRESHOLDS[main.method]
        criteria = self._record.choices.permutation.connectivity
        self._tell_thresholds(main)
        self._tell(
            "peak criteria",
            "Entity",
            ["nidm_PeakDefinitionCriteria"],
            {"rdfs:label": "Peak Definition Criteria", "nidm_minDistanceBetweenPeaks": MIN_DISTANCE_MM},
        )
        self._tell(
            "cluster criteria",
            "Entity",
            ["nidm_ClusterDefinitionCriteria"],
            {
                "rdfs:label": f"Cluster Connectivity Criterion: {criteria}",
                "nidm_hasConnectivityCriterion": Term(f"nidm_voxel{criteria}connected"),
            },
        )
        used = ("statistic", "mask", "height", "extent", "peak criteria", "cluster criteria")
        shuffled = contrast.permutation if words.needs == "shuffles" else None
        said = [main.title, shuffled.words if shuffled and shuffled.words else ""]
        tail = TAILS[main.tail] if contrast.test == "t" else "nidm_OneTailedTest"
        self._tell(
            "inference",
            "Activity",
            ["nidm_Inference"],
            {
                "rdfs:label": f"Inference: {contrast.name}",
                "dc:description": "; ".join(filter(None, said)),
                "nidm_hasAlternativeHypothesis": Term(tail),
                "prov:used": list(map(name, used)),
                "prov:wasAssociatedWith": name("software"),
            },
        )
        self._tell_search_space()
        made: Said = {"prov:wasGeneratedBy": name("inference")}
        excursion = np.zeros_like(self._statistic)
        if main.labels:
            labels = self._model.read_map(main.labels).values
            excursion = np.where(labels > 0, self._statistic, excursion)
            self._tell_map(
                "labels",
                "nidm_ClusterLabelsMap",
                "ClusterLabels.nii.gz",
                main.labels,
                {"rdfs:label": "Cluster Labels Map"},
            )
        about = made | {
            "rdfs:label": "Excursion Set Map",
            "nidm_numberOfSupraThresholdClusters": main.n_clusters,
            "nidm_hasClusterLabelsMap": name("labels") if main.labels else None,
        }
        self._tell_map("excursion", "nidm_ExcursionSetMap", "ExcursionSet.nii.gz", excursion, about)
        self._tell_clusters(main)

    def _tell_thresholds(self, main: ThresholdRecord) -> None:
        """Tell the height and the extent that voxels and clusters must have."""
        words = THRESHOLDS[main.method]
        p_type = P_TYPES[words.controls][0]
        height: tuple[str, float | None] = (p_type, main.alpha)
        value = main.cutoff if main.scale in self._contrast.maps else None
        extent: tuple[str, float | None] = ("obo_statistic", None)
        n_voxels: int | None = 0
        if words.is_formed:
            height, value = ("nidm_PValueUncorrected", main.forming_p), main.forming
            extent = (p_type, main.alpha)
            n_voxels = int(main.cutoff) if main.scale == "voxels" and main.cutoff is not None else None
        if value is not None:
            self._tell(
                "height value",
                "Entity",
                ["nidm_HeightThreshold", "obo_statistic"],
                {"rdfs:label": f"Height Threshold: {value}", "prov:value": value},
            )
        self._tell(
            "height",
            "Entity",
            ["nidm_HeightThreshold", height[0]],
            {
                "rdfs:label": f"Height Threshold: {main.title}",
                "prov:value": height[1],
                "nidm_equivalentThreshold": None if value is None else self._name("height value"),
            },
        )
        self._tell(
            "extent",
            "Entity",
            ["nidm_ExtentThreshold", extent[0]],
            {
                "rdfs:label": f"Extent Threshold: {main.title if words.is_formed else 'k>=0'}",
                "prov:value": extent[1],
                "nidm_clusterSizeInVoxels": n_voxels,
            },
        )

    def _tell_search_space(self) -> None:
        smoothness, sizes = self._contrast.smoothness, self._record.voxel_size_mm
        n_voxels = int(self._mask.sum())
        said: Said = {
            "rdfs:label": "Search Space Mask Map",
            "nidm_searchVolumeInVoxels": n_voxels,
            "nidm_searchVolumeInUnits": float(n_voxels * np.prod(sizes)),
            "nidm_randomFieldStationarity": True,
            "prov:wasGeneratedBy": self._name("inference"),
        }
        if smoothness is not None:
            widths = np.array(smoothness.fwhm_voxels)
            said |= {
                "nidm_searchVolumeInResels": smoothness.resels[-1],
                "nidm_reselSizeInVoxels": float(widths.prod()),
                "nidm_noiseFWHMInVoxels": json.dumps(widths.tolist()),
                "nidm_noiseFWHMInUnits": json.dumps((widths * sizes).tolist()),
            }
        mask = self._mask.astype(np.uint8)
        self._tell_map("search space", "nidm_SearchSpaceMaskMap", "SearchSpaceMask.nii.gz", mask, said)

    def _tell_clusters(self, main: ThresholdRecord) -> None:
        if main.clusters is None or main.peaks is None:
            return
        words, name = THRESHOLDS[main.method], self._name
        own = {words.column: P_TYPES[words.controls][1]} if words.column else {}
        # A voxel's p is that of its cluster's peak; a cluster's p says nothing of its peaks.
        of_peak = {} if words.is_formed else own
        for row in _rows(self._model.read_table(main.clusters)):
            number = int(row["cluster_id"])
            self._tell(
                f"cluster {number}",
                "Entity",
                ["nidm_SupraThresholdCluster"],
                {
                    "rdfs:label": f"Supra-Threshold Cluster {number:04d}",
                    "nidm_clusterLabelId": number,
                    "nidm_clusterSizeInVoxels": int(row["n_voxels"]),
                    "prov:wasDerivedFrom": name("excursion"),
                    **{term: row[column] for column, term in own.items() if column in row},
                },
            )
            if "centre_x" in row:  # tables of earlier versions lack it
                self._tell_centre(number, [row[f"centre_{axis}"] for axis in "xyz"])
        columns = {"z": "nidm_equivalentZStatistic", "p_uncorrected": "nidm_pValueUncorrected", **of_peak}
        for row in _rows(self._model.read_table(main.peaks)):
            label = f"{int(row['cluster_id']):04d}_{int(row['peak']):02d}"
            self._tell(
                f"peak {label}",
                "Entity",
                ["nidm_Peak"],
                {
                    "rdfs:label": f"Peak {label}",
                    "prov:value": row[main.statistic],
                    "prov:atLocation": name(f"Coordinate {label}"),
                    "prov:wasDerivedFrom": name(f"cluster {int(row['cluster_id'])}"),
                    **{term: row[column] for column, term in columns.items() if column in row},
                },
            )
            self._tell_place(f"Coordinate {label}", [row[f"peak_{axis}"] for axis in "xyz"])

    def _tell_centre(self, cluster: int, position: list[float]) -> None:
        place = f"COG coordinate {cluster:04d}"
        self._tell(
            f"centre {cluster}",
            "Entity",
            ["nidm_ClusterCenterOfGravity"],
            {
                "rdfs:label": f"Center of gravity {cluster}",
                "prov:atLocation": self._name(place),
                "prov:wasDerivedFrom": self._name(f"cluster {cluster}"),
            },
        )
        self._tell_place(place, position)

    def _tell_place(self, role: str, position: list[float]) -> None:
        said: Said = {
            "rdfs:label": role,
            "nidm_coordinateVector": json.dumps(position),
        }
        self._tell(role, "Entity", ["nidm_Coordinate", "prov:Location"], said)


def _rows(table: pd.DataFrame) -> Iterator[dict[str, float]]:
    """Yield the numbers of each row of a table of clusters or peaks; what is not known is left out."""
    numbers = table.select_dtypes("number").astype(float)
    for row in numbers.to_dict("records"):
        yield {str(name): value for name, value in row.items() if np.isfinite(value)}
