"""Signal → Signal: scaling, clipping, centring, normalising, reducing, scheduling and combining.

Nothing here reads what a sample says; a transform sees numbers, groups and the context.
"""

from guerdon.shape.channel import ChannelTransform
from guerdon.shape.combine import NormalizedSum, normalized_sum, zscore_average
from guerdon.shape.normalize import BatchNormalize, Center, GroupNormalize
from guerdon.shape.pointwise import Affine, Clip, Threshold
from guerdon.shape.running import RunningNormalize
from guerdon.shape.schedule import Schedule
from guerdon.shape.statistics import GroupStatistics, group_statistics
from guerdon.shape.total import Total

__all__ = [
    "Affine",
    "BatchNormalize",
    "Center",
    "ChannelTransform",
    "Clip",
    "GroupNormalize",
    "GroupStatistics",
    "NormalizedSum",
    "RunningNormalize",
    "Schedule",
    "Threshold",
    "Total",
    "group_statistics",
    "normalized_sum",
    "zscore_average",
]
