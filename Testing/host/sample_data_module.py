"""The ``SampleData`` module of the test host: what other modules register with it, and a network of given files.

As SampleData.py of Slicer 5.12: names and their order of the keywords, lists of equal length, checksums that are
verified. Tests put {uri: path} into ``network``; any other address cannot be reached.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass

import slicer

network = {}


@dataclass(frozen=True)
class SampleDataSource:
    sampleName: str
    uris: list
    fileNames: list
    nodeNames: list
    checksums: list
    customDownloader: object
    thumbnailFileName: str | None


class SampleDataLogic:
    def __init__(self, logMessage=None):
        """Messages are not kept."""

    @staticmethod
    def registerCustomSampleDataCategory(category, title):
        titles = vars(slicer.modules).setdefault("sampleDataSourceCategories", {})
        titles.setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
        thumbnailFileName=None, loadFileTypes=None, loadFiles=None, loadFileProperties=None, checksums=None,
    ):  # fmt: skip
        if loadFileTypes or loadFiles or loadFileProperties:
            raise NotImplementedError("the test host loads no sample data by itself")
        if isinstance(uris, str):
            uris, fileNames, nodeNames, checksums = [uris], [fileNames], [nodeNames], [checksums]
        # Slicer fails in the same way where uris or fileNames are left out.
        if not len(uris) == len(fileNames) == len(nodeNames) == len(checksums):
            raise ValueError("All fields of sample data source must have the same length")
        if thumbnailFileName is not None and not os.path.isfile(thumbnailFileName):
            raise FileNotFoundError(thumbnailFileName)  # Slicer would show a button without a picture
        fields = (sampleName, uris, fileNames, nodeNames, checksums, customDownloader, thumbnailFileName)
        sources = vars(slicer.modules).setdefault("sampleDataSources", {}).setdefault(category, [])
        if SampleDataSource(*fields) not in sources:
            sources.append(SampleDataSource(*fields))

    def downloadFileIntoCache(self, uri, name, checksum=None, forceDownload=False):
        path = os.path.join(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory(), name)
        if uri not in network:
            raise ValueError(f"Failed to download {uri} to {path}")
        shutil.copy(network[uri], path)
        algorithm, _, digest = checksum.partition(":")
        with open(path, "rb") as file:
            if hashlib.new(algorithm, file.read()).hexdigest() != digest:
                os.remove(path)  # Slicer says so in its log and returns the path nevertheless
        return path
