"""The signature of a method with ``**options: Unpack[RequestOptions]``, to whoever asks at run time: each option is a keyword of its own.

Makers of tools for language models, pydantic, mocks and injectors of dependencies read signatures and hints, and few know `Unpack`.
"""

from __future__ import annotations

from functools import cached_property
from inspect import Parameter, Signature, signature
from types import FunctionType
from typing import Any, cast, get_args

from ..hints import Hints
from ..operation import Omit, RequestOptions, omit

__all__ = ["spell_out"]

_OPTIONS = dict(dict[str, Any].items(RequestOptions.__annotations__))  # as they are written, which imports nothing


def spell_out(method: FunctionType) -> None:
    """Name each option in the signature and in the hints of a method whose annotations are `Hints`."""
    written = cast("Hints", method.__annotations__)
    del written["options"]
    written.update(_OPTIONS)
    cast("Any", method).__wrapped__ = _SpeltOut(method)


class _SpeltOut:
    """Stands behind a method, where `inspect.signature` stops and all else that unwraps goes on to the method's code.

    A `__signature__` of the method's own would be copied by `functools.wraps` from a bound method, with `self` in it.
    """

    def __init__(self, method: FunctionType) -> None:
        self._method = method

    @cached_property
    def __wrapped__(self) -> FunctionType:
        method = self._method
        code = FunctionType(method.__code__, method.__globals__, argdefs=method.__defaults__, closure=method.__closure__)
        code.__kwdefaults__, code.__annotations__ = method.__kwdefaults__, method.__annotations__
        return code

    @property
    def __signature__(self) -> Signature:
        written = signature(self.__wrapped__)
        named = [one for one in written.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
        return written.replace(parameters=[*named, *(_keyword(name, self.__wrapped__.__annotations__[name]) for name in _OPTIONS)])


def _keyword(option: str, annotation: Any) -> Parameter:
    """An option with the default that says that it was not given."""
    return Parameter(option, Parameter.KEYWORD_ONLY, default=omit if Omit in get_args(annotation) else None, annotation=annotation)
