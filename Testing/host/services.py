"""Small Python services of Slicer that the module imports: translation, packages, sample data."""

import types
from pathlib import Path


class SampleDataLogic:
    """Keeps the names of the samples that the module registers."""

    samples = []

    @staticmethod
    def registerCustomSampleDataCategory(category, title=None):
        pass

    @classmethod
    def registerCustomSampleDataSource(
        cls,
        category=None,
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        checksums=None,
    ):
        cls.samples.append(sampleName)


def load_requirements(path):
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    """Installs nothing and returns None, as Slicer does with --testing."""
    if not skip_in_testing:
        raise NotImplementedError("the test host installs no packages")


def _module(name, **members):
    module = types.ModuleType(name, __doc__)
    vars(module).update(members)
    return module


def makeModules():
    """Name -> module, for sys.modules."""
    modules = (
        _module("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text),
        _module("slicer.packaging", load_requirements=load_requirements, pip_ensure=pip_ensure),
        _module("SampleData", SampleDataLogic=SampleDataLogic),
    )
    return {module.__name__: module for module in modules}
