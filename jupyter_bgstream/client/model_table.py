"""Models as a table, for ``%bg models`` and ``models()``."""

from collections.abc import Sequence

from ..core.schemas.server_info import ModelsInfo, ProviderInfo
from .text_table import Table, cut, grid

_SHOWN = 3  # models of a provider in the overview
_WORDS = 72  # characters of a sentence in the overview
_HEADINGS = ("provider", "models", "")


class Models(Table):
    """Available models, and why other providers are not available; displays as a table.

    >>> found = bg.models()
    >>> found.default
    'demo/tour'
    >>> "demo/echo" in found.names
    True
    """

    def __init__(self, info: ModelsInfo, provider: str | None = None) -> None:
        self.default = info.default  # provider/name of a job without a model
        self.default_why = info.default_why
        self.aliases = dict(info.aliases)
        self.problems = list(info.problems)  # errors in the server's config, as sentences
        self._providers = [each for each in info.providers if provider in (None, each.name)]
        self._all = provider is not None

    @property
    def names(self) -> list[str]:
        """Full names of all listed models."""
        return [model for each in self._providers for model in each.models]

    @property
    def errors(self) -> dict[str, str]:
        """Why configured providers are not available, by name."""
        return {each.name: each.error.message for each in self._providers if each.error and each.configured}

    def bundle(self) -> dict[str, str]:
        """Return the display bundle."""
        return grid(_HEADINGS, self._rows(), notes=self._notes())

    def _rows(self) -> list[tuple[str, ...]]:
        if self._all:
            rows = [
                (each.name, model.partition("/")[2], self._mark(model))
                for each in self._providers
                for model in each.models
            ]
            return rows + [self._row(each) for each in self._providers if not each.models]
        return [self._row(each) for each in self._providers if each.configured]

    def _row(self, each: ProviderInfo) -> tuple[str, ...]:
        if each.error is not None:
            return each.name, self._cut(each.error.message), "not available" if each.configured else "not configured"
        if not each.models:
            words = self._cut(each.note) if each.note else f"use {each.name}/ and the name of a model"
            return each.name, words, self._mark_of(each)
        return each.name, _some(each.models), self._mark_of(each)

    def _cut(self, words: str) -> str:
        return words if self._all else cut(words, _WORDS)  # %bg models NAME shows all

    def _mark(self, model: str) -> str:
        names = [name for name, full in self.aliases.items() if full == model]
        return ", ".join(["default"] * (model == self.default) + names)

    def _mark_of(self, each: ProviderInfo) -> str:
        is_default = self.default is not None and self.default.partition("/")[0] == each.name
        return f"default: {(self.default or '').partition('/')[2]}" if is_default else ""

    def _notes(self) -> list[str]:
        if self._all:
            return []
        notes = []
        if self.default is not None:
            notes.append(f"The default is {self.default}. {self.default_why or ''}".rstrip())
        notes += [f"Error in Jupyter's config: {problem}" for problem in self.problems]
        if self.aliases:
            notes.append("Aliases: " + ", ".join(f"{name} = {model}" for name, model in self.aliases.items()) + ".")
        if idle := [each for each in self._providers if not each.configured]:
            names = ", ".join(each.name for each in idle)
            notes.append(f"Not configured: {names}. %bg models NAME shows what each needs.")
        return notes


def _some(models: Sequence[str]) -> str:
    names = [model.partition("/")[2] for model in models[:_SHOWN]]
    more = len(models) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
