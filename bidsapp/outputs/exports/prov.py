"""Provenance documents of NIDM-Results, in Turtle, JSON-LD and PROV-N."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

NIDM, OBO, NLX = (
    "http://purl.org/nidash/nidm#NIDM_",
    "http://purl.obolibrary.org/obo/",
    "http://uri.neuinfo.org/nif/nifstd/",
)
NAMESPACES = {
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "nfo": "http://www.semanticdesktop.org/ontologies/2007/03/22/nfo#",
    "crypto": "http://id.loc.gov/vocabulary/preservation/cryptographicHashFunctions#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dct": "http://purl.org/dc/terms/",
    "niiri": "http://iri.nidash.org/",
}
# The terms of NIDM-Results 1.3 that are used, by the prefixes that its packs have for them.
TERMS = {
    "nidm_ContrastEstimation": f"{NIDM}0000001",
    "nidm_ContrastMap": f"{NIDM}0000002",
    "nidm_ClusterDefinitionCriteria": f"{NIDM}0000007",
    "nidm_ClusterLabelsMap": f"{NIDM}0000008",
    "nidm_ContrastStandardErrorMap": f"{NIDM}0000013",
    "nidm_Coordinate": f"{NIDM}0000015",
    "nidm_CoordinateSpace": f"{NIDM}0000016",
    "nidm_CustomCoordinateSystem": f"{NIDM}0000017",
    "nidm_DesignMatrix": f"{NIDM}0000019",
    "nidm_regressorNames": f"{NIDM}0000021",
    "nidm_ErrorModel": f"{NIDM}0000023",
    "nidm_ExchangeableError": f"{NIDM}0000024",
    "nidm_ExcursionSetMap": f"{NIDM}0000025",
    "nidm_ExtentThreshold": f"{NIDM}0000026",
    "nidm_NIDMResults": f"{NIDM}0000027",
    "nidm_GrandMeanMap": f"{NIDM}0000033",
    "nidm_HeightThreshold": f"{NIDM}0000034",
    "nidm_IcbmMni152NonLinear2009cAsymmetricCoordinateSystem": f"{NIDM}0000045",
    "nidm_IcbmMni152NonLinear2009cSymmetricCoordinateSystem": f"{NIDM}0000046",
    "nidm_IcbmMni152NonLinear6thGenerationCoordinateSystem": f"{NIDM}0000047",
    "nidm_IndependentError": f"{NIDM}0000048",
    "nidm_Inference": f"{NIDM}0000049",
    "nidm_MNICoordinateSystem": f"{NIDM}0000051",
    "nidm_MaskMap": f"{NIDM}0000054",
    "nidm_ModelParameterEstimation": f"{NIDM}0000056",
    "nidm_NonParametricDistribution": f"{NIDM}0000058",
    "nidm_NonParametricSymmetricDistribution": f"{NIDM}0000059",
    "nidm_OneTailedTest": f"{NIDM}0000060",
    "nidm_ParameterEstimateMap": f"{NIDM}0000061",
    "nidm_Peak": f"{NIDM}0000062",
    "nidm_PeakDefinitionCriteria": f"{NIDM}0000063",
    "nidm_ResidualMeanSquaresMap": f"{NIDM}0000066",
    "nidm_SearchSpaceMaskMap": f"{NIDM}0000068",
    "nidm_SupraThresholdCluster": f"{NIDM}0000070",
    "nidm_IndependentParameter": f"{NIDM}0000073",
    "nidm_StatisticMap": f"{NIDM}0000076",
    "nidm_TwoTailedTest": f"{NIDM}0000079",
    "nidm_clusterLabelId": f"{NIDM}0000082",
    "nidm_clusterSizeInVoxels": f"{NIDM}0000084",
    "nidm_contrastName": f"{NIDM}0000085",
    "nidm_coordinateVector": f"{NIDM}0000086",
    "nidm_dimensionsInVoxels": f"{NIDM}0000090",
    "nidm_effectDegreesOfFreedom": f"{NIDM}0000091",
    "nidm_equivalentZStatistic": f"{NIDM}0000092",
    "nidm_errorDegreesOfFreedom": f"{NIDM}0000093",
    "nidm_errorVarianceHomogeneous": f"{NIDM}0000094",
    "nidm_grandMeanScaling": f"{NIDM}0000096",
    "nidm_hasAlternativeHypothesis": f"{NIDM}0000097",
    "nidm_hasClusterLabelsMap": f"{NIDM}0000098",
    "nidm_hasConnectivityCriterion": f"{NIDM}0000099",
    "nidm_hasErrorDependence": f"{NIDM}0000100",
    "nidm_hasErrorDistribution": f"{NIDM}0000101",
    "nidm_inCoordinateSpace": f"{NIDM}0000104",
    "nidm_inWorldCoordinateSystem": f"{NIDM}0000105",
    "nidm_isUserDefined": f"{NIDM}0000106",
    "nidm_maskedMedian": f"{NIDM}0000107",
    "nidm_minDistanceBetweenPeaks": f"{NIDM}0000109",
    "nidm_numberOfSupraThresholdClusters": f"{NIDM}0000111",
    "nidm_numberOfDimensions": f"{NIDM}0000112",
    "nidm_pValueFWER": f"{NIDM}0000115",
    "nidm_pValueUncorrected": f"{NIDM}0000116",
    "nidm_qValueFDR": f"{NIDM}0000119",
    "nidm_randomFieldStationarity": f"{NIDM}0000120",
    "nidm_searchVolumeInVoxels": f"{NIDM}0000121",
    "nidm_softwareVersion": f"{NIDM}0000122",
    "nidm_statisticType": f"{NIDM}0000123",
    "nidm_varianceMapWiseDependence": f"{NIDM}0000126",
    "nidm_version": f"{NIDM}0000127",
    "nidm_voxel18connected": f"{NIDM}0000128",
    "nidm_voxel26connected": f"{NIDM}0000129",
    "nidm_voxel6connected": f"{NIDM}0000130",
    "nidm_voxelSize": f"{NIDM}0000131",
    "nidm_voxelToWorldMapping": f"{NIDM}0000132",
    "nidm_voxelUnits": f"{NIDM}0000133",
    "nidm_withEstimationMethod": f"{NIDM}0000134",
    "nidm_searchVolumeInUnits": f"{NIDM}0000136",
    "nidm_ClusterCenterOfGravity": f"{NIDM}0000140",
    "nidm_reselSizeInVoxels": f"{NIDM}0000148",
    "nidm_searchVolumeInResels": f"{NIDM}0000149",
    "nidm_noiseFWHMInUnits": f"{NIDM}0000157",
    "nidm_noiseFWHMInVoxels": f"{NIDM}0000159",
    "nidm_PValueUncorrected": f"{NIDM}0000160",
    "nidm_equivalentThreshold": f"{NIDM}0000161",
    "nidm_ContrastExplainedMeanSquareMap": f"{NIDM}0000163",
    "nidm_NeuroimagingAnalysisSoftware": f"{NIDM}0000164",
    "nidm_NIDMResultsExporter": f"{NIDM}0000165",
    "nidm_NIDMResultsExport": f"{NIDM}0000166",
    "nidm_Data": f"{NIDM}0000169",
    "nidm_groupName": f"{NIDM}0000170",
    "nidm_numberOfSubjects": f"{NIDM}0000171",
    "nidm_hasMRIProtocol": f"{NIDM}0000172",
    "obo_statistic": f"{OBO}STATO_0000039",
    "obo_tstatistic": f"{OBO}STATO_0000176",
    "obo_studygrouppopulation": f"{OBO}STATO_0000193",
    "obo_normaldistribution": f"{OBO}STATO_0000227",
    "obo_Fstatistic": f"{OBO}STATO_0000282",
    "obo_contrastweightmatrix": f"{OBO}STATO_0000323",
    "obo_ordinaryleastsquaresestimation": f"{OBO}STATO_0000370",
    "obo_FWERadjustedpvalue": f"{OBO}OBI_0001265",
    "obo_qvalue": f"{OBO}OBI_0001442",
    "nlx_Imaginginstrument": f"{NLX}birnlex_2094",
    "nlx_Magneticresonanceimagingscanner": f"{NLX}birnlex_2100",
    "nlx_FunctionalMRIprotocol": f"{NLX}birnlex_2250",
}


class Term(str):
    """A term of an ontology as a value: ``nidm_OneTailedTest``, ``prov:Bundle``."""

    __slots__ = ()


class Iri(str):
    """The name of another thing of the document as a value."""

    __slots__ = ()


class Location(str):
    """The name of a file of the pack as a value."""

    __slots__ = ()


class Time(str):
    """A time, as ISO 8601, as a value."""

    __slots__ = ()


Value: TypeAlias = Term | Iri | Location | Time | str | bool | int | float
DATATYPES = {bool: "xsd:boolean", int: "xsd:int", float: "xsd:float", str: "xsd:string"}
DATATYPES |= {Location: "xsd:anyURI", Time: "xsd:dateTime"}


@dataclass(frozen=True, slots=True)
class Thing:
    """An entity, activity or agent.

    Attributes
    ----------
    name : str
        Of its IRI, below ``niiri``.
    kind : {"Entity", "Activity", "Agent"}
    types : sequence of str
        Terms.
    said : dict
        Term -> its value, or a list of values.
    """

    name: str
    kind: str
    types: Sequence[str]
    said: dict[str, Value | list[Value]] = field(default_factory=dict)

    @property
    def pairs(self) -> Iterator[tuple[str, Value]]:
        """Every term with each of its values."""
        for term, values in self.said.items():
            yield from ((term, value) for value in (values if isinstance(values, list) else [values]))


def write_turtle(things: Iterable[Thing]) -> str:
    """Return the document in Turtle."""
    prefixes = {**NAMESPACES, **TERMS}
    lines = [f"@prefix {name}: <{iri}> ." for name, iri in prefixes.items()]
    for thing in things:
        types = " , ".join(map(_colon, (f"prov:{thing.kind}", *thing.types)))
        said = [f"    {_colon(term)} {_turtle(value)}" for term, value in thing.pairs]
        lines += ["", " ;\n".join([f"niiri:{thing.name} a {types}", *said]) + " ."]
    return "\n".join(lines) + "\n"


def _turtle(value: Value) -> str:
    if isinstance(value, Iri):
        return f"niiri:{value}"
    return _colon(value) if isinstance(value, Term) else f"{_quoted(value)}^^{DATATYPES[type(value)]}"


def _quoted(value: Value) -> str:
    """Return a value between quotes; escapes are those of JSON, which Turtle and PROV-N know."""
    return json.dumps(_lexical(value), ensure_ascii=False)


def _lexical(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _colon(term: str) -> str:
    """Return a term as a prefixed name; its prefix may be all of it."""
    return term if ":" in term else f"{term}:"


def write_json_ld(things: Iterable[Thing]) -> str:
    """Return the document in JSON-LD."""
    graph = []
    for thing in things:
        entry: dict[str, object] = {
            "@id": f"niiri:{thing.name}",
            "@type": [f"prov:{thing.kind}", *thing.types],
        }
        for term, values in thing.said.items():
            found = [_json_ld(value) for value in (values if isinstance(values, list) else [values])]
            entry[term] = found[0] if len(found) == 1 else found
        graph.append(entry)
    content = {"@context": {**NAMESPACES, **TERMS}, "@graph": graph}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _json_ld(value: Value) -> dict[str, str]:
    if isinstance(value, Iri):
        return {"@id": f"niiri:{value}"}
    if isinstance(value, Term):
        return {"@id": TERMS.get(value, value)}
    return {"@type": DATATYPES[type(value)], "@value": _lexical(value)}


# Relations of PROV, which PROV-N has as statements of their own.
RELATIONS = {
    "prov:used": "used",
    "prov:wasGeneratedBy": "wasGeneratedBy",
    "prov:wasAssociatedWith": "wasAssociatedWith",
    "prov:wasAttributedTo": "wasAttributedTo",
    "prov:wasDerivedFrom": "wasDerivedFrom",
}
PROV_NAMES = {"rdfs:label": "prov:label", "prov:atLocation": "prov:location"}


def write_prov_n(things: Iterable[Thing]) -> str:
    """Return the document in PROV-N."""
    prefixes = {**NAMESPACES, **TERMS}
    lines = ["document", *(f"  prefix {name} <{iri}>" for name, iri in prefixes.items() if name != "prov")]
    for thing in things:
        said = [f"prov:type='{_colon(name)}'" for name in thing.types]
        said += [
            f"{_colon(PROV_NAMES.get(term, term))}={_prov_n(value)}"
            for term, value in thing.pairs
            if term not in RELATIONS
        ]
        lines.append(f"  {thing.kind.lower()}(niiri:{thing.name}, [{', '.join(said)}])")
        lines += [
            f"  {RELATIONS[term]}(niiri:{thing.name}, niiri:{value})"
            for term, value in thing.pairs
            if term in RELATIONS
        ]
    return "\n".join([*lines, "endDocument"]) + "\n"


def _prov_n(value: Value) -> str:
    if isinstance(value, Term | Iri):
        return f"'{_turtle(value)}'"
    return f"{_quoted(value)} %% {DATATYPES[type(value)]}"
