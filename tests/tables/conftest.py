import numpy as np
import pytest
from nilearn.datasets import load_sample_motor_activation_image
from nilearn.image import load_img

from bidsapp.records.maps import Geometry
from bidsapp.tables.clusters import make_cluster_table


@pytest.fixture(scope="session")
def motor_map():
    """Return nilearn's motor map (left button press against right), its geometry and its clusters."""
    image = load_img(load_sample_motor_activation_image())
    volume = image.get_fdata()
    geometry = Geometry(volume != 0, image.affine)
    values = volume[volume != 0]
    return image, geometry, make_cluster_table({"z": values}, np.abs(values) > 5, geometry)
