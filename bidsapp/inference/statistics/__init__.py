"""The statistics of a map whose maximum over the map gives a corrected p-value."""

from bidsapp.inference.statistics.extent import EXTENT
from bidsapp.inference.statistics.height import HEIGHT
from bidsapp.inference.statistics.mass import MASS
from bidsapp.inference.statistics.tfce import TFCE

STATISTICS = {statistic.words.name: statistic for statistic in (HEIGHT, EXTENT, MASS, TFCE)}
