"""Generated scans on disk for the tests of this folder."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


@pytest.fixture
def volume():
    """Return a function that draws a volume of whole numbers."""

    def draw(*shape, seed=0):
        return np.random.default_rng(seed).integers(0, 1000, shape or (6, 5, 4)).astype(np.int16)

    return draw


@pytest.fixture
def write_nifti(volume):
    """Return a function that writes an array as NIfTI with a given spacing in mm, or affine."""

    def write(path, data=None, spacing=(1.0, 1.0, 1.0), affine=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        data = volume() if data is None else np.asarray(data)
        nib.save(nib.Nifti1Image(data, np.diag([*spacing, 1.0]) if affine is None else affine), path)
        return str(path)

    return write


@pytest.fixture
def write_dicom(volume):
    """Return a function that writes a volume (D, H, W) as the slices of one DICOM series with spacing 2, 1, 1 mm."""

    def write(folder, data=None, name="{:03d}.dcm", series=None):
        folder.mkdir(parents=True, exist_ok=True)
        series = series or generate_uid()
        for index, pixels in enumerate(volume() if data is None else data):
            slice_ = pydicom.Dataset()
            slice_.file_meta = pydicom.dataset.FileMetaDataset()
            slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = MRImageStorage
            slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = generate_uid()
            slice_.StudyInstanceUID, slice_.SeriesInstanceUID = generate_uid(), series
            slice_.Modality, slice_.PatientID, slice_.InstanceNumber = "MR", "someone", index + 1
            slice_.ImagePositionPatient, slice_.ImageOrientationPatient = [0, 0, 2 * index], [1, 0, 0, 0, 1, 0]
            slice_.PixelSpacing, slice_.SliceThickness = [1, 1], 2
            slice_.Rows, slice_.Columns = pixels.shape
            slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
            slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
            slice_.PixelData = pixels.astype("<i2").tobytes()
            pydicom.dcmwrite(folder / name.format(index), slice_, enforce_file_format=True)
        return str(folder)

    return write
