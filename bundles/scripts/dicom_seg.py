"""Segmentations as DICOM-SEG objects that refer to the series they were made of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .data.dicom_files import is_dicom
from .data.dicom_stack import frames_of, read_stack
from .errors import InputError
from .files import write_atomically

# category, type, modifier, side and region of a structure to SNOMED CT code and meaning, or those of another scheme
Codes = Mapping[str, Mapping[str, Sequence[str]]]

CATEGORY = ("91723000", "Anatomical Structure")
TYPE = ("85756007", "Tissue")
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def save_dicom_seg(
    labels: np.ndarray,
    affine: np.ndarray,
    series: str,
    path: str | Path,
    structures: Mapping[str, int],
    codes: Codes,
    algorithm: tuple[str, str],
) -> None:
    """Write a label map as binary segments on the planes of its source series.

    Args:
        labels: label ids (D, H, W) on the grid of the series, axes in any order.
        affine: their RAS affine in mm.
        series: folder of the series.
        path: of the file to write.
        structures: label id of each structure, one segment each.
        codes: by structure SNOMED CT code and meaning of its `category` and `type`, and where they say more, of a
            `modifier`, a `side` and the `region` of the body; other schemes' codes name theirs as third. A structure
            without is called tissue, an anatomical structure.
        algorithm: name and version of what segmented.

    Raises:
        InputError: if the source is not a DICOM series, or lacks what a DICOM-SEG must repeat of it.
    """
    # seconds of imports that other runs do without
    import highdicom as hd

    if not os.path.isdir(series) and not is_dicom(series):
        raise InputError(
            f"{series} is no DICOM series, which a DICOM-SEG refers to: take the NIfTI, which is written, or give the "
            "folder of a series"
        )
    slices = read_stack(series)
    volume = hd.Volume(
        _numbered(labels, structures),
        RAS_TO_LPS @ affine,
        coordinate_system="PATIENT",
        frame_of_reference_uid=slices[0].get("FrameOfReferenceUID"),
    )
    try:
        segmentation = hd.seg.Segmentation(
            source_images=slices,
            pixel_array=volume.match_geometry(_geometry(slices), tol=1e-3),
            segmentation_type="BINARY",
            segment_descriptions=[
                _description(number, name, codes.get(name, {}), algorithm)
                for number, name in enumerate(structures, start=1)
            ],
            omit_empty_frames=bool(np.any(labels)),
            series_instance_uid=hd.UID(),
            series_number=1000,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="MAE bundles",
            manufacturer_model_name=algorithm[0],
            software_versions=algorithm[1],
            device_serial_number="0",
            content_label="SEGMENTATION",
            series_description=f"{algorithm[0]}, research only"[:64],
        )
    except (AttributeError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{series} gives no DICOM-SEG ({error}): take the NIfTI, which is written, or repair its headers"
        ) from error
    write_atomically(path, segmentation.save_as)


def _numbered(labels: np.ndarray, structures: Mapping[str, int]) -> np.ndarray:
    """Number the structures 1, 2, ... in their order, as segments must be."""
    numbers = np.zeros(256, np.uint8)
    numbers[list(structures.values())] = np.arange(1, len(structures) + 1)
    return numbers[labels]


def _geometry(images: Sequence[Any]) -> Any:
    """Return the grid of a series' slices, or of the frames of one file."""
    import highdicom as hd

    planes = frames_of(images[0]) or images
    positions = np.array([plane.ImagePositionPatient for plane in planes], dtype=float)
    directions = np.array(planes[0].ImageOrientationPatient, dtype=float)
    along = positions @ np.cross(directions[:3], directions[3:])
    return hd.VolumeGeometry.from_attributes(
        image_position=positions[along.argmax()],  # highdicom counts against the normal
        image_orientation=directions,
        pixel_spacing=planes[0].PixelSpacing,
        spacing_between_slices=np.ptp(along) / (len(planes) - 1) if len(planes) > 1 else 1.0,
        rows=images[0].Rows,
        columns=images[0].Columns,
        number_of_frames=len(planes),
        coordinate_system="PATIENT",
        frame_of_reference_uid=images[0].get("FrameOfReferenceUID"),
    )


def _description(number: int, name: str, codes: Mapping[str, Sequence[str]], algorithm: tuple[str, str]) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes as dictionary

    codes = {"category": CATEGORY, "type": TYPE} | dict(codes)

    def concepts(*kinds: str) -> list[Any]:
        given = [codes[kind] for kind in kinds if kind in codes]
        return [hd.sr.CodedConcept(value, scheme[0] if scheme else "SCT", text) for value, text, *scheme in given]

    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=concepts("category")[0],
        segmented_property_type=concepts("type")[0],
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm[0], version=algorithm[1], family=dictionary.DCM.ArtificialIntelligence
        ),
        anatomic_regions=concepts("region") or None,
    )
    modifiers = concepts("modifier", "side")
    if modifiers:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifiers
    return description
