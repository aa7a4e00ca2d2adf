"""Find the rigid motion between two scans of a patient by ITK's registration, for scans of unlike contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import itk
import nibabel as nib
import numpy as np

from .itk_images import LPS_TO_RAS, to_itk

WORKING_SPACING = 2.0  # mm, of the finest level: finer costs time and moves the result by less than a tenth of it
COARSE, FINE = (4,), (2, 1)  # shrink factors of the levels
START_STEP = 30.0  # mm between starts along the body, within reach of the coarse level
HISTOGRAM_BINS = 32
SAMPLES = 100_000  # voxels of each level that the metric looks at
RELAXATION, SHORTEST_STEP, ITERATIONS = 0.9, 0.001, 300  # patient: coarser ones stop at wrong angles
PERCENTILES = (0.5, 99.5)  # brightness beyond is cut off, else few bright voxels leave the rest to few bins


@dataclass(frozen=True)
class RigidMotion:
    """A rotation with a shift.

    Attributes:
        matrix: (4, 4), takes RAS points of the fixed image in mm to those of the moving one.
        mutual_information: of both images thereafter, in nats.
    """

    matrix: np.ndarray
    mutual_information: float

    @property
    def degrees(self) -> float:
        """Angle of the rotation."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.matrix[:3, :3]) - 1) / 2, -1, 1))))

    def onto_fixed(self, image: nib.Nifti1Image) -> nib.Nifti1Image:
        """Return a volume of the moving image's space, its voxels as they are, placed in the fixed image's space."""
        return nib.Nifti1Image(image.dataobj, np.linalg.inv(self.matrix) @ image.affine)


def register_rigidly(fixed: nib.Nifti1Image, moving: nib.Nifti1Image, seed: int = 1) -> RigidMotion:
    """Register by mutual information (Mattes et al. 2003) over three levels of resolution.

    The images may lie anywhere in their spaces and differ in length along the body: the coarse level starts from
    several places, and the best result of it goes on. One thread and a seed make the result the same every time.

    Args:
        fixed: axial volume, without voxels that are not finite.
        moving: likewise.
        seed: of the voxels that are sampled, not 0.

    Returns:
        The motion.
    """
    still, moved = _reduced(fixed), _reduced(moving)
    centre = _box(still).mean(axis=0)
    tried = [_optimise(still, moved, centre, start, COARSE, 2.0, seed) for start in _starts(still, moved)]
    start, _ = min(tried, key=lambda result: result[1])
    parameters, value = _optimise(still, moved, centre, start, FINE, 0.5, seed)
    return RigidMotion(_matrix(parameters, centre), -value)


def _reduced(image: nib.Nifti1Image) -> Any:
    """Return an ITK image of about the working spacing, averaged over blocks, with its brightness cut off."""
    itk_image = to_itk(image)
    factors = [max(1, round(WORKING_SPACING / step)) for step in itk_image.GetSpacing()]
    itk_image = itk.bin_shrink_image_filter(itk_image, shrink_factors=factors)
    voxels = itk.array_view_from_image(itk_image)
    np.clip(voxels, *np.percentile(voxels, PERCENTILES), out=voxels)
    return itk_image


def _starts(fixed: Any, moving: Any) -> list[np.ndarray]:
    """Return shifts in mm that lay the fixed image's length along that of the moving one, the bodies on each other."""
    (low, high), (moving_low, moving_high) = _box(fixed)[:, 2], _box(moving)[:, 2]
    lowest, highest = sorted((moving_low - low, moving_high - high))
    count = int(np.ceil((highest - lowest) / START_STEP)) + 1
    middle = _middle(fixed, low, high)
    return [
        np.array([*(_middle(moving, low + along, high + along) - middle), along])
        for along in np.linspace(lowest, highest, count)
    ]


def _box(image: Any) -> np.ndarray:
    """Return the lowest and the highest corner of an image (2, 3) in LPS."""
    corners = [
        [side * (n - 1) for side, n in zip(sides, image.GetLargestPossibleRegion().GetSize(), strict=True)]
        for sides in np.ndindex(2, 2, 2)
    ]
    points = np.array([image.TransformIndexToPhysicalPoint(corner) for corner in corners])
    return np.array([points.min(axis=0), points.max(axis=0)])


def _middle(image: Any, low: float, high: float) -> np.ndarray:
    """Return the centre of brightness (2,) in LPS, across the body, of what lies between two heights."""
    voxels = itk.array_view_from_image(image)
    weights = (voxels - voxels.min()).astype(np.float64)
    origin = np.asarray(image.GetOrigin())
    steps = itk.array_from_matrix(image.GetDirection()) * np.asarray(image.GetSpacing())
    heights = origin[2] + steps[2, 2] * np.arange(len(weights))
    weights[(heights < low) | (heights > high)] = 0
    if not weights.any():
        return np.asarray(_box(image).mean(axis=0)[:2])
    index = [
        np.average(np.arange(n), weights=weights.sum(axis=axes))
        for n, axes in zip(voxels.shape[::-1], ((0, 1), (0, 2), (1, 2)), strict=True)
    ]
    return np.asarray((origin + steps @ index)[:2])


def _optimise(
    fixed: Any,
    moving: Any,
    centre: np.ndarray,
    start: np.ndarray,
    shrink: Sequence[int],
    step: float,
    seed: int,
) -> tuple[np.ndarray, float]:
    """Return the parameters (3 angles, 3 shifts) of lowest negative mutual information, and that.

    Args:
        fixed: ITK image.
        moving: ITK image.
        centre: (3,) of rotation, LPS in mm.
        start: (3,) shift, or (6,) parameters.
        shrink: factor of every level.
        step: longest step in mm.
        seed: of the sampled voxels.

    Returns:
        Parameters and value.
    """
    kind = type(fixed)
    motion = itk.Euler3DTransform[itk.D].New()
    motion.SetCenter(centre.tolist())
    motion.SetParameters(itk.OptimizerParameters[itk.D]([0.0] * (6 - len(start)) + list(start)))
    metric = itk.MattesMutualInformationImageToImageMetricv4[kind, kind].New(number_of_histogram_bins=HISTOGRAM_BINS)
    metric.SetMaximumNumberOfWorkUnits(1)
    scales = itk.RegistrationParameterScalesFromPhysicalShift[type(metric)].New(metric=metric)
    optimizer = itk.RegularStepGradientDescentOptimizerv4[itk.D].New(
        scales_estimator=scales,
        learning_rate=step,
        minimum_step_length=SHORTEST_STEP,
        relaxation_factor=RELAXATION,
        number_of_iterations=ITERATIONS,
        return_best_parameters_and_value=True,
    )
    optimizer.SetDoEstimateLearningRateOnce(False)
    optimizer.SetDoEstimateLearningRateAtEachIteration(False)
    method = itk.ImageRegistrationMethodv4[kind, kind].New(
        fixed_image=fixed, moving_image=moving, metric=metric, optimizer=optimizer, initial_transform=motion
    )
    method.SetNumberOfLevels(len(shrink))
    method.SetShrinkFactorsPerLevel(list(shrink))
    method.SetSmoothingSigmasPerLevel([factor / 2 for factor in shrink])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(False)
    method.SetMetricSamplingStrategy(itk.ImageRegistrationMethodv4Enums.MetricSamplingStrategy_RANDOM)
    voxels = [np.prod(np.ceil(np.divide(fixed.GetLargestPossibleRegion().GetSize(), factor))) for factor in shrink]
    method.SetMetricSamplingPercentagePerLevel([min(1.0, SAMPLES / float(count)) for count in voxels])
    method.MetricSamplingReinitializeSeed(seed)
    method.SetNumberOfWorkUnits(1)
    method.Update()
    parameters = method.GetTransform().GetParameters()
    return np.array([parameters[i] for i in range(6)]), float(optimizer.GetCurrentMetricValue())


def _matrix(parameters: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return the motion as a matrix of RAS points."""
    motion = itk.Euler3DTransform[itk.D].New()
    motion.SetCenter(centre.tolist())
    motion.SetParameters(itk.OptimizerParameters[itk.D](parameters.tolist()))
    matrix = np.eye(4)
    matrix[:3, :3] = itk.array_from_matrix(motion.GetMatrix())
    matrix[:3, 3] = list(motion.GetOffset())
    return LPS_TO_RAS @ matrix @ LPS_TO_RAS
