"""An answer read as a type that the caller names, as ``cast_to`` of the official SDK has it."""

from __future__ import annotations

import inspect
import types
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_origin

from ..errors import APIResponseValidationError, text_of, unusable
from ..model import Decode, Many, Mapped, Model, One, decode_object, decoder
from .unions import NamedUnion

if TYPE_CHECKING:
    from ..response import Answer

__all__ = ["cast_answer", "check_type"]

T = TypeVar("T")
_PLAIN = (object, Any, dict, list)


def check_type(to: Any) -> None:
    """Look up all that the models of a program's own name, before anything is sent.

    :raises TypeError: it is not there.
    """
    left, seen = [to], set[Any]()
    while left:
        one = left.pop()
        if isinstance(one, (Many, Mapped)):
            left.append(one.item)
        elif isinstance(one, One):
            left.append(one.name)
        elif inspect.isclass(one) and issubclass(one, Model) and one not in seen:
            seen.add(one)
            left += one.__nested__.values()
        else:
            left += get_args(one)  # of a list, a dict, a union, ...
            if hasattr(one, "__value__") and one not in seen:  # a type that has a name, and may hold itself
                seen.add(one)
                left.append(cast("Any", one).__value__)


def cast_answer(answer: Answer, to: type[T], *, strict: bool = False) -> T:
    """What an answer says.

    :param to: a model, a class of pydantic, a union or a list of them, `dict`, `list`, `str`, `bytes`, a number, ``None`` or
        `httpx.Response`.
    :param strict: refuse what does not fit. Otherwise a body that is not JSON is given as its text, and JSON of another shape as it is.
    :raises APIResponseValidationError: it does not fit.
    :raises TypeError: `to` is none of these.
    """
    return cast("T", _cast(answer, to, strict))


def _cast(answer: Answer, to: Any, strict: bool) -> Any:
    import httpx

    if to is httpx.Response:
        return answer.response
    if to in {None, types.NoneType}:
        return None
    if to is str:
        return text_of(answer.response)
    if to is bytes:
        return answer.content
    if to in {int, float}:
        return to(text_of(answer.response))
    if to is bool:
        return text_of(answer.response).lower() == "true"
    if inspect.isclass(to) and issubclass(to, httpx.Response):
        raise TypeError("cast_to may be httpx.Response, and no subclass of it")
    try:
        data = answer.take()
    except APIResponseValidationError:
        if strict:
            raise
        return text_of(answer.response)
    builder = getattr(to, "build", None)
    if inspect.isclass(to) and callable(builder) and not issubclass(to, Model):
        return builder(response=answer.response, data=data)
    return _shaped(answer, to, data, strict)


def _shaped(answer: Answer, to: Any, data: Any, strict: bool) -> Any:
    if to in _PLAIN or get_origin(to) is dict:
        return data
    own = _own(to)
    if own is not None:
        return own(data)
    if get_origin(to) is list and isinstance(data, list):
        return [_shaped(answer, get_args(to)[0], item, strict) for item in cast("list[Any]", data)]  # type: ignore[redundant-cast]
    try:
        import pydantic
    except ModuleNotFoundError:
        raise TypeError(
            f"{to!r} is no model of this package and none of dict, list, str, bytes, int, float, bool and httpx.Response"
        ) from None
    try:
        return pydantic.TypeAdapter(to).validate_python(data)
    except pydantic.ValidationError as error:
        if strict:
            raise unusable(answer.response, data) from error
        if inspect.isclass(to) and issubclass(to, pydantic.BaseModel) and isinstance(data, dict):
            return cast("Any", to).model_construct(**data)
        return data  # pyright: ignore[reportUnknownVariableType]


def _own(to: Any) -> Decode | None:
    """What makes a model of this package, or a member of one of its unions, of parsed JSON."""
    if inspect.isclass(to) and issubclass(to, Model):
        return decode_object(to)
    return _member(to) if isinstance(to, NamedUnion) else None


@cache
def _member(union: NamedUnion) -> Decode:
    return decoder(One(union.__name__))
