"""Compares the installed packages with the versions that this package requires."""

from importlib import metadata
from typing import NamedTuple

from packaging.requirements import Requirement

PACKAGE = "jupyter_bgstream"


class Unmet(NamedTuple):
    """A required package that is missing, or whose version does not fit."""

    message: str
    advice: str  # a command

    def __str__(self) -> str:
        return f"{self.message} Run: {self.advice}."


def unmet_requirements() -> list[Unmet]:
    """Return the unmet requirements of this environment, without those of extras."""
    try:
        required = [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
    except metadata.PackageNotFoundError:  # a checkout on the path, without an installation
        return []
    return [
        Unmet(f"{PACKAGE} needs {requirement}, but {found}.", f"pip install '{requirement}'")
        for requirement in required
        if requirement.marker is None and (found := _mismatch(requirement))  # what an extra needs has a marker
    ]


def _mismatch(requirement: Requirement) -> str:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "it is not installed"
    fits = requirement.specifier.contains(version, prereleases=True)
    return "" if fits else f"{version} is installed"
